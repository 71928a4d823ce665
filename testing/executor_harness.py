"""Run executors in threads, and create jobs for them as the API does.

There are two harnesses: on AWS (the emulator), and on in-memory ports, for tests of what an executor does with a job.
"""

from __future__ import annotations

import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest import mock

from executor import heartbeat, model_reporter, receiver
from executor.comfyui import monitor
from executor.job import lease, runner
from executor.wiring import ExecutorPorts, assemble, aws_ports
from gateway.aws.dynamodb.job_store import DynamoJobStore
from gateway.aws.s3 import S3ObjectStore
from gateway.aws.sqs.job_queue import SqsJobQueue
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import Job, Priority
from gateway.domain.messages import JobMessage
from gateway.settings import ExecutorSettings
from testing.ports import InMemoryPorts
from testing.waiting import TIMEOUT_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import ModuleType

    from mypy_boto3_sqs.literals import QueueAttributeNameType

    from gateway.aws.clients import Clients
    from gateway.ports import JobQueue, JobStore, ObjectStore, ReceivedJob

CORRELATION_ID = "correlation-1"


class ExecutorHarness(ABC):
    """Jobs, their queues and their files, and executors that run them."""

    def __init__(self, environment: Mapping[str, str], jobs: JobStore, queue: JobQueue, objects: ObjectStore) -> None:
        self.environment = dict(environment)  # an executor's settings
        self.jobs = jobs
        self.queue = queue
        self.objects = objects
        self.receive_calls: Counter[Priority] = Counter()  # of all executors; a long poll is one call

    @abstractmethod
    def message_count(self) -> int:
        """Count the messages in all job queues, including received ones."""

    @abstractmethod
    def _ports(self, settings: ExecutorSettings, stopping: threading.Event) -> ExecutorPorts:
        """Return the ports of one executor. `stopping` ends its long polls."""

    def submit(
        self,
        prompt: Mapping[str, Any],
        *,
        priority: Priority = Priority.NORMAL,
        owner: str = "ada",
        private: bool = False,
    ) -> str:
        """Create a job and send its message; return the job's id."""
        job_id = self.create_job(priority=priority, owner=owner, private=private)
        self.send_message(job_id, prompt, priority, private=private)
        return job_id

    def create_job(
        self,
        *,
        priority: Priority = Priority.NORMAL,
        owner: str = "ada",
        private: bool = False,
        cache_key: str | None = None,
    ) -> str:
        """Create a job without sending a message; return its id."""
        job = Job(
            id=str(uuid.uuid4()),
            owner=owner,
            workflow_id="test",
            workflow_version=1,
            template_key="workflows/test/1.json",
            priority=priority,
            private=private,
            inputs=None if private else {},
            correlation_id=CORRELATION_ID,
            cache_key=cache_key,
            created_at=SYSTEM_CLOCK.now(),
        )
        self.jobs.create(job)
        return job.id

    def send_message(
        self, job_id: str, prompt: Mapping[str, Any], priority: Priority = Priority.NORMAL, *, private: bool = False
    ) -> None:
        """Send a message of a job."""
        message = JobMessage(
            job_id=job_id, priority=priority, correlation_id=CORRELATION_ID, private=private, prompt=dict(prompt)
        )
        self.queue.send(message, group="ada")

    def job(self, job_id: str) -> Job:
        """Read a job."""
        job = self.jobs.get(job_id)
        assert job is not None
        return job

    def log_messages(self, job_id: str) -> list[str]:
        """Read the messages of a job's log."""
        return [line.message for line in self.job(job_id).log]

    def request_cancel(self, job_id: str) -> None:
        """Cancel a job as the API does: a running one is only requested to stop."""
        self.jobs.cancel(job_id, now=SYSTEM_CLOCK.now())

    def wait_until_ended(self, job_id: str, seconds: float = TIMEOUT_SECONDS) -> Job:
        """Wait until a job has ended; return it."""
        wait_until(lambda: self.job(job_id).status.ended, f"the end of job {job_id}", seconds)
        return self.job(job_id)

    def run(self, comfyui_url: str, prompt: Mapping[str, Any], *, private: bool = False, **settings: str) -> Job:
        """Run a job on an executor of its own until it has ended and its message is deleted; return it."""
        with self.run_executor(comfyui_url, grace_seconds=10, **settings):
            job = self.wait_until_ended(self.submit(prompt, private=private))
            wait_until(lambda: self.message_count() == 0, "the message's deletion")
        return job

    @contextmanager
    def run_executor(
        self, comfyui_url: str, *, grace_seconds: float = 10, **settings: str
    ) -> Iterator[Callable[[], None]]:
        """Run an executor in threads. Yields a function that stops it and waits until it has stopped."""
        executor_settings = ExecutorSettings.from_environment(
            {**self.environment, "COMFYUI_URL": comfyui_url, **settings}
        )
        stopping = threading.Event()
        app = assemble(executor_settings, self._ports(executor_settings, stopping))
        thread = threading.Thread(target=app.run, args=(grace_seconds,), name="executor")

        def stop() -> None:
            stopping.set()
            app.stop()
            thread.join()

        thread.start()
        try:
            yield stop
        finally:
            stop()


class AwsExecutorHarness(ExecutorHarness):
    """Executors and jobs on AWS. `environment` names the table, queues, bucket and bus."""

    def __init__(self, environment: Mapping[str, str], clients: Clients) -> None:
        urls = {priority: environment[f"{priority.upper()}_QUEUE_URL"] for priority in Priority}
        super().__init__(
            environment,
            DynamoJobStore(clients.dynamodb, environment["TABLE_NAME"], 30),
            SqsJobQueue(clients.sqs, urls),
            S3ObjectStore(clients.s3, environment["BUCKET_NAME"]),
        )
        self.clients = clients
        self._queue_urls = urls

    def message_count(self) -> int:
        """Count the messages in all job queues, including received ones."""
        return self._count("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")

    def visible_message_count(self) -> int:
        """Count the messages in all job queues that can be received."""
        return self._count("ApproximateNumberOfMessages")

    def heartbeat_count(self) -> int:
        """Count the executors that have sent a heartbeat."""
        return self.clients.dynamodb.query(
            TableName=self.environment["TABLE_NAME"],
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": "EXECUTOR"}},
        )["Count"]

    def _ports(self, settings: ExecutorSettings, stopping: threading.Event) -> ExecutorPorts:
        ports = aws_ports(settings)
        return replace(ports, queue=_InterruptibleQueue(ports.queue, stopping, self.receive_calls, poll_seconds=1))

    def _count(self, *names: QueueAttributeNameType) -> int:
        count = 0
        for url in self._queue_urls.values():
            attributes = self.clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            count += sum(map(int, attributes.values()))
        return count


class InMemoryExecutorHarness(ExecutorHarness):
    """Executors and jobs on in-memory ports, with short intervals instead of those of production."""

    def __init__(self) -> None:
        self.ports = InMemoryPorts(SYSTEM_CLOCK)
        unused = ("TABLE_NAME", "BUCKET_NAME", "EVENT_BUS_NAME", "HIGH_QUEUE_URL", "NORMAL_QUEUE_URL", "LOW_QUEUE_URL")
        environment = {**dict.fromkeys(unused, "unused"), "AWS_REGION": "eu-central-1"}
        super().__init__(environment, self.ports.jobs, self.ports.queue, self.ports.objects)

    def message_count(self) -> int:
        """Count the messages in all job queues, including received ones."""
        return sum(len(queue.messages) for queue in self.ports.queue.queues.values())

    def heartbeat_count(self) -> int:
        """Count the executors that have sent a heartbeat."""
        return len(self.ports.executors.heartbeats(SYSTEM_CLOCK.now().replace(year=2000)))

    @contextmanager
    def run_executor(
        self, comfyui_url: str, *, grace_seconds: float = 10, **settings: str
    ) -> Iterator[Callable[[], None]]:
        """Run an executor in threads. Yields a function that stops it and waits until it has stopped."""
        with (
            short_intervals(),
            _very_short_intervals(),
            super().run_executor(comfyui_url, grace_seconds=grace_seconds, **settings) as stop,
        ):
            yield stop

    def _ports(self, settings: ExecutorSettings, stopping: threading.Event) -> ExecutorPorts:
        del settings
        return ExecutorPorts(
            jobs=self.ports.jobs,
            queue=_InterruptibleQueue(self.queue, stopping, self.receive_calls, poll_seconds=0),
            objects=self.ports.objects,
            outputs=self.ports.objects,
            results=self.ports.results,
            bus=self.ports.events,
            executors=self.ports.executors,
            clock=SYSTEM_CLOCK,
        )


class _InterruptibleQueue:
    """A job queue whose long polls end when the executor stops: it waits for them."""

    def __init__(
        self, queue: JobQueue, stopping: threading.Event, calls: Counter[Priority], *, poll_seconds: int
    ) -> None:
        self._queue = queue
        self._stopping = stopping
        self._calls = calls
        self._poll_seconds = poll_seconds
        self.send = queue.send
        self.change_visibility = queue.change_visibility
        self.delete = queue.delete
        self.waiting = queue.waiting

    def receive(self, priority: Priority, *, wait_seconds: int) -> ReceivedJob | None:
        """Receive the next message; return None early when the executor stops."""
        self._calls[priority] += 1
        deadline = time.monotonic() + wait_seconds
        while True:
            received = self._queue.receive(priority, wait_seconds=min(self._poll_seconds, wait_seconds))
            if received or time.monotonic() >= deadline or self._stopping.is_set():
                return received
            if not self._poll_seconds:
                self._stopping.wait(0.02)


@contextmanager
def short_intervals() -> Iterator[None]:
    """Shorten polling and backoff, which are tuned for the load on ComfyUI and on AWS."""
    with _patched(
        (heartbeat, "_POLL_SECONDS", 0.2),
        (model_reporter, "_RETRY_SECONDS", 0.2),
        (monitor, "_CANCEL_RETRY_SECONDS", 0.05),
        (monitor, "_QUEUE_POLL_SECONDS", 0.2),
        (runner, "_BACKOFF_SECONDS", 0.1),
    ):
        yield


def _very_short_intervals() -> AbstractContextManager[None]:
    """Shorten what calls AWS as well; in memory it costs nothing."""
    return _patched(
        (heartbeat, "HEARTBEAT_SECONDS", 0.2),
        (lease, "RENEW_SECONDS", 0.1),
        (receiver, "_SHORT_POLL_INTERVAL_SECONDS", 0.1),
    )


@contextmanager
def _patched(*constants: tuple[ModuleType, str, float]) -> Iterator[None]:
    with ExitStack() as stack:
        for module, name, value in constants:
            stack.enter_context(mock.patch.object(module, name, value))
        yield
