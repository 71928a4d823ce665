"""The embedded AWS, for every test that needs tables, queues or files."""

from __future__ import annotations

import os
import sys
import uuid
from typing import TYPE_CHECKING

import pytest

from gateway.aws.clients import Clients
from local.child_process import Child, free_port, is_responding
from local.emulator import START_SECONDS, Emulator
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
def deployed_services(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:  # noqa: ARG001  it sets the other endpoints
    """Run the services that local mode has no use for. boto3 in this process finds them."""
    folder, port = tmp_path_factory.mktemp("services"), free_port()
    url = f"http://127.0.0.1:{port}"
    child = Child(
        "services",
        [sys.executable, "-P", "-m", "ministack"],
        environment={
            "PATH": os.environ.get("PATH", os.defpath),
            "SERVICES": "cloudformation,secretsmanager,sns",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "LOG_LEVEL": "WARNING",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "TMPDIR": str(folder),
            "DOCKER_HOST": "unix:///dev/null",
        },
        log_file=folder / "log",
    )
    child.wait_until(lambda: is_responding(f"{url}/_ministack/health"), seconds=START_SECONDS)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", url)
        environment.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", url)
        yield
    child.stop(seconds=10)


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
