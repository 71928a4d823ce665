"""The embedded AWS, for every test that needs tables, queues or files."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import pytest

from gateway.aws.clients import Clients
from local.emulator import Emulator
from local.provision import provision

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One embedded AWS for all tests. boto3 in this process, and in processes it starts, finds it."""
    with (
        Emulator(state_dir=None, work_dir=tmp_path_factory.mktemp("aws")) as running,
        pytest.MonkeyPatch.context() as environment,
    ):
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            environment.delenv(name)
        for name, value in running.environment.items():
            environment.setenv(name, value)
        yield running


@pytest.fixture(scope="session")
def aws_clients(emulator: Emulator) -> Clients:  # noqa: ARG001  it has to run first
    """boto3 clients of the embedded AWS; making them takes longer than most tests."""
    clients = Clients()
    for name in ("dynamodb", "sqs", "polling_sqs", "s3", "events"):
        getattr(clients, name)  # made now: the first test may point those that come later to a gate of its own
    return clients


@pytest.fixture
def aws(emulator: Emulator, aws_clients: Clients) -> dict[str, str]:
    """Give the test tables, queues, a bucket and a bus of its own, as the environment that names them."""
    prefix = f"t{uuid.uuid4().hex[:8]}-"
    return {**emulator.environment, **provision(aws_clients, prefix=prefix, retention_days=30)}
