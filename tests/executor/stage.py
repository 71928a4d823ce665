"""The AWS side of the executor's tests: jobs are accepted as the API does, and executors run between it and ComfyUI."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pytest

from executor import receiver
from executor.wiring import assemble, aws_ports
from gateway.aws.dynamodb.job_store import DynamoJobStore
from gateway.aws.s3 import S3ObjectStore
from gateway.aws.sqs.job_queue import SqsJobQueue
from gateway.domain import timestamps
from gateway.domain.job import Job, Priority
from gateway.domain.messages import JobMessage
from gateway.settings import ExecutorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypy_boto3_sqs.literals import QueueAttributeNameType

    from gateway.aws.clients import Clients

WAIT_SECONDS = 30
_LOOK_EVERY_SECONDS = 0.04  # a look is a call to AWS: more often, and half of the CPU of these tests is spent on it


def wait_until(condition: Callable[[], object], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait for a condition; fail when it does not come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(_LOOK_EVERY_SECONDS)


def picture(color: int = 255, prefix: str = "picture") -> dict[str, Any]:
    """Make a prompt that saves a one-coloured picture."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": color}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def sleeping(seconds: float, *, interruptible: bool = True, steps: int = 20) -> dict[str, Any]:
    """Make a prompt that takes its time, then saves a picture."""
    return {
        **picture(),
        "2": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "slept"}},
        "3": {
            "class_type": "LabSleep",
            "inputs": {
                "image": ["1", 0],
                "seconds": seconds,
                "steps": steps,
                "interruptible": interruptible,
                "progress": True,
                "salt": uuid.uuid4().int % 2**31,  # never from ComfyUI's cache
            },
        },
    }


@dataclass
class Stage:
    """What a test does and sees on the AWS side."""

    environment: dict[str, str]
    clients: Clients
    jobs: DynamoJobStore
    queue: SqsJobQueue
    objects: S3ObjectStore

    @classmethod
    def on(cls, environment: dict[str, str], clients: Clients) -> Self:
        """Make a stage of the tables and queues that the environment names."""
        urls = {priority: environment[f"{priority.upper()}_QUEUE_URL"] for priority in Priority}
        return cls(
            environment=environment,
            clients=clients,
            jobs=DynamoJobStore(clients.dynamodb, environment["TABLE_NAME"], 30),
            queue=SqsJobQueue(clients.sqs, urls),
            objects=S3ObjectStore(clients.s3, environment["BUCKET_NAME"]),
        )

    def accept(
        self,
        prompt: Mapping[str, Any],
        *,
        priority: Priority = Priority.NORMAL,
        owner: str = "somebody",
        private: bool = False,
    ) -> str:
        """Accept a job as the API does; return its id."""
        job_id = self.create(priority=priority, owner=owner, private=private)
        self.send(job_id, prompt, priority, private=private)
        return job_id

    def create(
        self,
        *,
        priority: Priority = Priority.NORMAL,
        owner: str = "somebody",
        private: bool = False,
        cache_key: str | None = None,
    ) -> str:
        """Write a job's record, without a message; return its id."""
        job = Job(
            id=str(uuid.uuid4()),
            owner=owner,
            workflow_id="test",
            workflow_version=1,
            template_key="workflows/test/1.json",
            priority=priority,
            private=private,
            inputs=None if private else {},
            correlation_id="correlated",
            cache_key=cache_key,
            created_at=timestamps.now(),
        )
        self.jobs.create(job)
        return job.id

    def send(
        self, job_id: str, prompt: Mapping[str, Any], priority: Priority = Priority.NORMAL, *, private: bool = False
    ) -> None:
        """Send a job's message."""
        message = JobMessage(
            job_id=job_id, priority=priority, correlation_id="correlated", private=private, prompt=dict(prompt)
        )
        self.queue.send(message, group="somebody")

    def job(self, job_id: str) -> Job:
        """Read a job."""
        job = self.jobs.get(job_id)
        assert job is not None
        return job

    def ended(self, job_id: str, seconds: float = WAIT_SECONDS) -> Job:
        """Wait for a job's end."""
        wait_until(lambda: self.job(job_id).status.ended, f"the end of {job_id}", seconds)
        return self.job(job_id)

    def request_cancel(self, job_id: str) -> None:
        """Ask for a running job's cancel, as the table says it."""
        self.clients.dynamodb.update_item(
            TableName=self.environment["TABLE_NAME"],
            Key={"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "JOB"}},
            UpdateExpression="SET cancelRequested = :true",
            ExpressionAttributeValues={":true": {"BOOL": True}},
        )

    def messages_left(self) -> int:
        """Count the messages in all job queues, those in somebody's hands included."""
        return self._messages("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")

    def messages_visible(self) -> int:
        """Count the messages in all job queues that are there for anybody to take."""
        return self._messages("ApproximateNumberOfMessages")

    def _messages(self, *counts: QueueAttributeNameType) -> int:
        left = 0
        for priority in Priority:
            attributes = self.clients.sqs.get_queue_attributes(
                QueueUrl=self.environment[f"{priority.upper()}_QUEUE_URL"], AttributeNames=counts
            )["Attributes"]
            left += sum(int(count) for count in attributes.values())
        return left

    @contextmanager
    def executor(self, comfyui_url: str, *, grace_seconds: float = 10, **settings: str) -> Iterator[Callable[[], None]]:
        """Run an executor in threads; gives the function that stops it and waits until it has.

        Its long polls are short, as it waits for them at its end.
        """
        environment = {**self.environment, "COMFYUI_URL": comfyui_url, **settings}
        parsed = ExecutorSettings.from_environment(environment)
        app = assemble(parsed, aws_ports(parsed))
        thread = threading.Thread(target=app.run, args=(grace_seconds,))

        def stop() -> None:
            app.stop()
            thread.join()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(receiver, "_LONG_POLL_SECONDS", 1)
            thread.start()
            try:
                yield stop
            finally:
                stop()
