"""Fixtures for webhooks on the embedded AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.webhooks.harness import WebhookHarness

if TYPE_CHECKING:
    from gateway.aws.clients import Clients


@pytest.fixture
def harness(aws: dict[str, str], aws_clients: Clients) -> WebhookHarness:
    """Return a harness for the bus, the queue and the webhook function."""
    return WebhookHarness(aws, aws_clients)
