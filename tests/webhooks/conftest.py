"""Webhooks on the embedded AWS, and receivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.webhooks.courier import Courier

if TYPE_CHECKING:
    from gateway.aws.clients import Clients


@pytest.fixture
def courier(aws: dict[str, str], aws_clients: Clients) -> Courier:
    """Give the way of webhooks."""
    return Courier(aws, aws_clients)
