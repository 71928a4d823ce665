"""The gateway's parts on the embedded AWS: the ports themselves, and a gateway of handlers around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.aws.dynamodb.job_store import DynamoJobStore
from gateway.aws.s3 import S3ObjectStore
from gateway.aws.sqs.job_queue import SqsJobQueue
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import Priority
from testing.clock import FakeClock
from tests.component.api import Gateway
from tests.component.event_functions import EventFunctions
from tests.component.sweeping import Sweeps
from tests.component.workflows import add_workflow

if TYPE_CHECKING:
    from gateway.aws.clients import Clients
    from tests.component.api import AwsGateway, Caller


@pytest.fixture
def jobs(aws: dict[str, str], aws_clients: Clients) -> DynamoJobStore:
    """Give the jobs, kept for 30 days."""
    return DynamoJobStore(aws_clients.dynamodb, aws["TABLE_NAME"], 30)


@pytest.fixture
def objects(aws: dict[str, str], aws_clients: Clients) -> S3ObjectStore:
    """Give the files."""
    return S3ObjectStore(aws_clients.s3, aws["BUCKET_NAME"])


@pytest.fixture
def queue(aws: dict[str, str], aws_clients: Clients) -> SqsJobQueue:
    """Give the three queues."""
    return SqsJobQueue(aws_clients.sqs, {priority: aws[f"{priority.upper()}_QUEUE_URL"] for priority in Priority})


@pytest.fixture
def gateway(request: pytest.FixtureRequest) -> Gateway:
    """Give a gateway whose callers have keys: an admin's, and those of two users.

    It is on in-memory ports; for a test that also asks for `aws_gateway`, it is that one.
    """
    if "aws_gateway" in request.fixturenames:
        gateway: Gateway = request.getfixturevalue("aws_gateway")
        return gateway
    return Gateway.in_memory()


@pytest.fixture
def aws_gateway(aws: dict[str, str], aws_clients: Clients) -> AwsGateway:
    """Give a gateway on the embedded AWS, for tests of AWS calls and of what is stored."""
    return Gateway.on_aws(aws, aws_clients)


@pytest.fixture
def ada(gateway: Gateway) -> Caller:
    """Give a user of a gateway that has the workflow `w`."""
    add_workflow(gateway)
    return gateway.ada


@pytest.fixture
def event_functions(aws: dict[str, str], aws_clients: Clients) -> EventFunctions:
    """Give the functions that no request calls."""
    return EventFunctions(aws, aws_clients)


@pytest.fixture
def clock(event_functions: EventFunctions) -> FakeClock:
    """Give these functions a clock that stands; the embedded AWS deletes what has expired by now."""
    event_functions.wiring.clock = clock = FakeClock(SYSTEM_CLOCK.now())
    return clock


@pytest.fixture
def sweeps(event_functions: EventFunctions, clock: FakeClock) -> Sweeps:
    """Give the function."""
    return Sweeps(event_functions.wiring, clock)
