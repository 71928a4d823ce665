"""A simulated ComfyUI and an embedded AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.comfyui_simulator.server import SimulatorServer
from cli.comfyui_simulator.settings import SimulatorSettings
from gateway.aws.job_queue import SqsJobQueue
from gateway.aws.job_store import DynamoJobStore
from gateway.aws.object_store import S3ObjectStore
from gateway.domain.job import Priority
from tests.executor.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.aws.clients import Clients


@pytest.fixture
def stage(aws: dict[str, str], aws_clients: Clients) -> Stage:
    """Give the AWS side."""
    return Stage(
        environment=aws,
        clients=aws_clients,
        jobs=DynamoJobStore(aws_clients.dynamodb, aws["TABLE_NAME"], 30),
        queue=SqsJobQueue(aws_clients.sqs, {priority: aws[f"{priority.upper()}_QUEUE_URL"] for priority in Priority}),
        objects=S3ObjectStore(aws_clients.s3, aws["BUCKET_NAME"]),
    )


@pytest.fixture
def simulator() -> Iterator[SimulatorServer]:
    """Give a simulated ComfyUI."""
    with SimulatorServer(SimulatorSettings(seconds_per_step=0.01)) as server:
        yield server
