"""Use cases on in-memory ports with a fake clock: no emulator, no Lambda event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.use_cases.environment import Environment

if TYPE_CHECKING:
    from testing.ports import InMemoryPorts


@pytest.fixture
def env() -> Environment:
    """Return a gateway with the workflow `w`."""
    return Environment()


@pytest.fixture
def ports(env: Environment) -> InMemoryPorts:
    """Return the ports of the gateway."""
    return env.ports
