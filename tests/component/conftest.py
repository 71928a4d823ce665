"""Fixtures: the AWS adapters, a gateway with its callers, and the functions without a route."""

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
    """Return a job store with a retention of 30 days."""
    return DynamoJobStore(aws_clients.dynamodb, aws["TABLE_NAME"], 30)


@pytest.fixture
def objects(aws: dict[str, str], aws_clients: Clients) -> S3ObjectStore:
    """Return the object store."""
    return S3ObjectStore(aws_clients.s3, aws["BUCKET_NAME"])


@pytest.fixture
def queue(aws: dict[str, str], aws_clients: Clients) -> SqsJobQueue:
    """Return the job queues of the three priorities."""
    return SqsJobQueue(aws_clients.sqs, {priority: aws[f"{priority.upper()}_QUEUE_URL"] for priority in Priority})


@pytest.fixture
def gateway(request: pytest.FixtureRequest) -> Gateway:
    """Return a gateway with three callers: an admin and two users.

    It runs on in-memory ports, unless the test also requests `aws_gateway`: then it is that gateway.
    """
    if "aws_gateway" in request.fixturenames:
        gateway: Gateway = request.getfixturevalue("aws_gateway")
        return gateway
    return Gateway.in_memory()


@pytest.fixture
def aws_gateway(aws: dict[str, str], aws_clients: Clients) -> AwsGateway:
    """Return a gateway on the embedded AWS, for tests of AWS calls and of stored items."""
    return Gateway.on_aws(aws, aws_clients)


@pytest.fixture
def ada(gateway: Gateway) -> Caller:
    """Return a user of a gateway that has the workflow `w`."""
    add_workflow(gateway)
    return gateway.ada


@pytest.fixture
def event_functions(aws: dict[str, str], aws_clients: Clients) -> EventFunctions:
    """Return the functions without a route."""
    return EventFunctions(aws, aws_clients)


@pytest.fixture
def clock(event_functions: EventFunctions) -> FakeClock:
    """Set a fake clock, which starts at the real time: the embedded AWS deletes expired items by real time."""
    event_functions.wiring.clock = clock = FakeClock(SYSTEM_CLOCK.now())
    return clock


@pytest.fixture
def sweeps(event_functions: EventFunctions, clock: FakeClock) -> Sweeps:
    """Return the sweeper."""
    return Sweeps(event_functions.wiring, clock)
