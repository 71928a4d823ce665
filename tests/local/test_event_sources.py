"""The event sources that call functions in local mode."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from gateway.aws.resources import FunctionResource
from local.event_sources.function import LocalFunction
from local.event_sources.schedule import ScheduleSource
from local.event_sources.sqs import QueueSource
from tests.local.command import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.aws.clients import Clients

RESOURCE = FunctionResource(name="recorder", timeout_seconds=5)


@dataclass
class Recorder:
    """A handler that records its events, and returns what a test configures."""

    response: Callable[[dict[str, Any]], Any] = lambda _event: None
    events: list[dict[str, Any]] = field(default_factory=list)
    concurrent_calls: int = 0
    max_concurrent_calls: int = 0

    def __call__(self, event: dict[str, Any], _context: object) -> Any:  # noqa: ANN401  any result
        """Record the event."""
        self.concurrent_calls += 1
        self.max_concurrent_calls = max(self.max_concurrent_calls, self.concurrent_calls)
        self.events.append(event)
        try:
            return self.response(event)
        finally:
            self.concurrent_calls -= 1

    @property
    def bodies(self) -> list[str]:
        """The bodies of all messages so far."""
        return [record["body"] for event in self.events for record in event["Records"]]


@pytest.fixture
def url(aws: dict[str, str], aws_clients: Clients) -> str:
    """Create a queue with a visibility timeout of one second."""
    name = f"{aws['TABLE_NAME']}-source"
    return aws_clients.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "1"})["QueueUrl"]


@contextmanager
def source(
    clients: Clients, url: str, recorder: Recorder, resource: FunctionResource = RESOURCE, batch_size: int = 10
) -> Iterator[None]:
    """Run an event source for a queue."""
    stopping = threading.Event()
    QueueSource(clients.polling_sqs, url, LocalFunction(resource, recorder), batch_size, stopping).start()
    try:
        yield
    finally:
        stopping.set()
        clients.sqs.send_message(QueueUrl=url, MessageBody="wake up")  # otherwise the long poll outlives the test


def remaining(clients: Clients, url: str) -> int:
    """Count the messages of a queue, including invisible ones."""
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(map(int, clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()))


def test_a_message_calls_the_function_and_is_deleted(aws_clients: Clients, url: str) -> None:
    """The event has the form of Lambda, and messages that did not fail are deleted."""
    recorder = Recorder()
    with source(aws_clients, url, recorder):
        sent = aws_clients.sqs.send_message(QueueUrl=url, MessageBody="hello")
        wait_until(lambda: remaining(aws_clients, url) == 0, 5)
    (record,) = recorder.events[0]["Records"]
    assert (record["messageId"], record["body"], record["eventSource"]) == (sent["MessageId"], "hello", "aws:sqs")
    assert record["eventSourceARN"].endswith(url.rsplit("/", 1)[1])
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["attributes"]["SentTimestamp"].isdigit()


def test_only_failed_messages_are_received_again(aws_clients: Clients, url: str) -> None:
    """The others of its batch are deleted."""

    def fail_once(event: dict[str, Any]) -> object:
        return {
            "batchItemFailures": [
                {"itemIdentifier": record["messageId"]}
                for record in event["Records"]
                if record["body"] == "b" and record["attributes"]["ApproximateReceiveCount"] == "1"
            ]
        }

    recorder = Recorder(fail_once)
    for body in "abc":
        aws_clients.sqs.send_message(QueueUrl=url, MessageBody=body)
    with source(aws_clients, url, recorder):
        wait_until(lambda: remaining(aws_clients, url) == 0, 10)
    assert sorted(recorder.bodies) == ["a", "b", "b", "c"]


def fail(_event: dict[str, Any]) -> object:
    """Raise an error."""
    raise ValueError("boom")


@pytest.mark.parametrize(
    "response",
    [
        fail,
        lambda _event: {"batchItemFailures": [{"itemIdentifier": "of nobody"}]},
        lambda _event: {"batchItemFailures": [{"itemIdentifier": None}]},
        lambda _event: {"batchItemFailures": [{"item": "x"}]},
        lambda _event: "text",
    ],
)
def test_a_failed_batch_is_received_again(
    aws_clients: Clients, url: str, response: Callable[[dict[str, Any]], object]
) -> None:
    """If the handler raises, or returns a response that is invalid for Lambda, no message is deleted."""
    recorder = Recorder(lambda event: response(event) if len(recorder.events) == 1 else None)
    aws_clients.sqs.send_message(QueueUrl=url, MessageBody="a")
    with source(aws_clients, url, recorder):
        wait_until(lambda: remaining(aws_clients, url) == 0, 10)
    assert recorder.bodies[:2] == ["a", "a"]


def test_a_slow_function_has_failed(aws_clients: Clients, url: str) -> None:
    """As on AWS, its messages are received again."""
    recorder = Recorder(lambda _event: time.sleep(0.05) if len(recorder.events) == 1 else None)
    aws_clients.sqs.send_message(QueueUrl=url, MessageBody="a")
    with source(aws_clients, url, recorder, FunctionResource(name="slow", timeout_seconds=0)):
        wait_until(lambda: len(recorder.events) > 1, 10)


def test_a_function_with_max_concurrency(aws_clients: Clients, url: str) -> None:
    """It gets several batches at a time, so one that hangs does not delay the others."""
    together = threading.Barrier(3)

    def meet(_event: dict[str, Any]) -> None:
        together.wait(10)

    recorder = Recorder(meet)
    resource = FunctionResource(name="parallel", timeout_seconds=5, max_concurrency=3)
    with source(aws_clients, url, recorder, resource, batch_size=1):
        for _ in range(3):
            aws_clients.sqs.send_message(QueueUrl=url, MessageBody="a")
        wait_until(lambda: remaining(aws_clients, url) == 0, 10)
    assert len(recorder.bodies) == 3


def test_other_functions_are_never_concurrent(aws_clients: Clients, url: str) -> None:
    """With any number and kind of event sources."""
    recorder = Recorder(lambda _event: time.sleep(0.02))
    function, stopping = LocalFunction(RESOURCE, recorder), threading.Event()
    for _ in range(4):
        ScheduleSource(function, 0.001, stopping).start()
    with source(aws_clients, url, recorder):
        wait_until(lambda: len(recorder.events) > 10, 5)
        stopping.set()
        function.finish(seconds=5)
    assert recorder.max_concurrent_calls == 1


def test_a_schedule_calls_a_function_repeatedly() -> None:
    """The event is that of a schedule, and a failed call does not stop the schedule."""
    recorder, stopping = Recorder(fail), threading.Event()
    ScheduleSource(LocalFunction(RESOURCE, recorder), 0.01, stopping).start()
    wait_until(lambda: len(recorder.events) >= 3, 5)
    stopping.set()
    assert {event["detail-type"] for event in recorder.events} == {"Scheduled Event"}


def test_stopping_waits_for_running_calls() -> None:
    """A running call completes, and no other call starts."""
    working = threading.Event()

    def work(_event: dict[str, Any]) -> None:
        working.set()
        time.sleep(0.1)
        done.append(True)

    done: list[bool] = []
    function = LocalFunction(RESOURCE, Recorder(work))
    threading.Thread(target=function.invoke, args=({},), daemon=True).start()
    working.wait(5)
    assert not function.finish(seconds=0)
    assert function.finish(seconds=5)
    assert done == [True]
    threading.Thread(target=function.invoke, args=({},), daemon=True).start()
    time.sleep(0.05)
    assert done == [True]
