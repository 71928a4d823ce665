"""Stores that are unavailable: the work waits, and neither an attempt nor a result is lost."""

from __future__ import annotations

import io
import json
import threading
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from executor import store_availability
from executor.comfyui.monitor import ExecutionStoppedError
from executor.job import outage, runner
from executor.job.outage import OutageError, OutageWaiter
from executor.job_log import JobLogWriter
from executor.store_availability import StoreAvailability
from gateway.aws.s3 import S3ObjectStore
from gateway.domain.job import Job, JobStatus, Priority
from gateway.domain.messages import JobMessage
from gateway.errors import ObjectRefusedError, OutputUnusableError
from testing.clock import FakeClock
from testing.prompts import image_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comfyui_simulator.server import SimulatorServer
    from testing.executor_harness import InMemoryExecutorHarness

MAX_SECONDS = 600


def client_error(code: str, status: int = 403) -> ClientError:
    """Make the error of a store."""
    return ClientError(
        {"Error": {"Code": code, "Message": "secret"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "PutObject",
    )


class WaitingJob:
    """A job whose calls of a store wait, on a fake clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.availability = StoreAvailability(self.clock)
        self.stop = False
        self.log = JobLogWriter((), self.clock)
        job = Job(
            id="job-1",
            owner="ada",
            workflow_id="test",
            workflow_version=1,
            template_key="workflows/test/1.json",
            inputs={},
            correlation_id="c",
            created_at=self.clock.now(),
        )
        self.waiter = OutageWaiter(
            store="the output store",
            job=job,
            log=self.log,
            must_stop=lambda: self.stop,
            availability=self.availability,
            max_seconds=MAX_SECONDS,
            clock=self.clock,
        )

    def fail_for(self, seconds: float, error: Exception) -> Callable[[], str]:
        """Return a function that fails for this long."""
        until = self.clock.monotonic() + seconds

        def call() -> str:
            if self.clock.monotonic() < until:
                assert self.availability.available == (self.clock.monotonic() == 0)
                raise error
            return "stored"

        return call


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError(),
        TimeoutError(),
        client_error("SlowDown", 503),
        client_error("InvalidAccessKeyId"),
        client_error("SignatureDoesNotMatch"),
        client_error("ExpiredToken"),
        client_error("AccessDenied"),
        client_error("NoSuchBucket", 404),
    ],
)
def test_an_outage_is_waited_out(error: Exception) -> None:
    """Minutes of it, logged once, during which no more jobs are received."""
    job = WaitingJob()
    assert job.waiter.call(job.fail_for(MAX_SECONDS / 2, error)) == "stored"
    assert job.availability.available
    waiting, recovered = (line.message for line in job.log.lines)
    assert waiting.startswith("Waiting for the output store: ")
    assert "secret" not in waiting
    assert recovered == "The output store responds again."


def test_waiting_is_bounded() -> None:
    """Another executor may reach the store; this one tries again with one job later."""
    job = WaitingJob()
    with pytest.raises(OutageError, match="AccessDenied"):
        job.waiter.call(job.fail_for(2 * MAX_SECONDS, client_error("AccessDenied")))
    assert MAX_SECONDS <= job.clock.monotonic() < 1.1 * MAX_SECONDS
    assert not job.availability.available
    job.clock.sleep(60)
    assert job.availability.available


def test_waiting_stops_at_once() -> None:
    """A shutdown or a lost lease ends it within a fraction of the backoff."""
    job = WaitingJob()

    def call() -> str:
        job.stop = job.clock.monotonic() > 20
        raise ConnectionError

    with pytest.raises(ExecutionStoppedError):
        job.waiter.call(call)


def test_a_final_error_is_raised_at_once() -> None:
    """Waiting would not help."""
    job = WaitingJob()
    with pytest.raises(OutputUnusableError):
        job.waiter.call(job.fail_for(1, OutputUnusableError("refused")))
    assert not job.log.lines


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (client_error("EntityTooLarge", 400), True),
        (client_error("KeyTooLongError", 400), True),
        (client_error("TooBigForThisProxy", 413), True),
        (ParamValidationError(report="Invalid length for parameter Key"), True),
        (client_error("SlowDown", 503), False),
    ],
)
def test_a_store_refuses_an_object(error: Exception, refused: bool) -> None:  # noqa: FBT001  a parameter of the test
    """Only an error that says so of the object itself is final."""
    client = mock.Mock()
    client.upload_fileobj.side_effect = error
    with pytest.raises(ObjectRefusedError if refused else ClientError):
        S3ObjectStore(client, "bucket").put_stream("k", io.BytesIO(b""), content_type="a/b", disposition="inline")


def test_only_a_missing_key_is_a_missing_object() -> None:
    """A missing bucket, or the 404 of a proxy, is an outage."""
    client = mock.Mock()
    client.get_object.side_effect = client_error("NoSuchKey", 404)
    with pytest.raises(KeyError):
        S3ObjectStore(client, "bucket").get("k")
    for code in ("NoSuchBucket", "404"):
        client.get_object.side_effect = client_error(code, 404)
        with pytest.raises(ClientError):
            S3ObjectStore(client, "bucket").get("k")


@contextmanager
def unavailable(harness: InMemoryExecutorHarness, method: str) -> Iterator[threading.Event]:
    """Let a method of the object store fail until the event is set."""
    back = threading.Event()
    original = getattr(harness.ports.objects, method)

    def call(*arguments: object, **named: object) -> object:
        if not back.is_set():
            raise client_error("AccessDenied")
        return original(*arguments, **named)

    with mock.patch.object(harness.ports.objects, method, call), mock.patch.object(outage, "_MAX_BACKOFF_SECONDS", 0.1):
        yield back


def submit_large(harness: InMemoryExecutorHarness) -> str:
    """Submit a job whose prompt is stored."""
    job_id = harness.create_job()
    key = f"prompts/{uuid.uuid4()}.json"
    harness.objects.put(key, json.dumps(image_prompt()).encode(), content_type="application/json")
    message = JobMessage(job_id=job_id, priority=Priority.NORMAL, correlation_id="correlated", prompt_key=key)
    harness.queue.send(message, group="somebody")
    return job_id


def has_logged(harness: InMemoryExecutorHarness, job_id: str, text: str) -> Callable[[], bool]:
    """Return a condition: a job's log has a line with a text."""
    return lambda: any(text in message for message in harness.log_messages(job_id))


def test_outputs_wait_for_their_store(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """No more jobs are received; when the store responds again, the job succeeds in its first attempt."""
    with unavailable(harness, "put_stream") as back, harness.run_executor(simulator.url, MAX_ATTEMPTS="1"):
        job_id = harness.submit(image_prompt())
        wait_until(has_logged(harness, job_id, "Waiting for the output store: AccessDenied"), "the waiting job")
        later = harness.submit(image_prompt())
        assert harness.job(later).status is JobStatus.QUEUED
        back.set()
        for each in (job_id, later):
            job = harness.wait_until_ended(each)
            assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert "The output store responds again." in harness.log_messages(job_id)


def test_a_result_outlives_a_release(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """The next attempt finds it in ComfyUI's history, and the release is not counted."""
    with (
        mock.patch.object(runner, "_MAX_OUTPUT_WAIT_SECONDS", 0.2),
        mock.patch.object(runner, "_OUTAGE_DELAY_SECONDS", 0),
        mock.patch.object(store_availability, "_CLOSED_SECONDS", 0.1),
        unavailable(harness, "put_stream") as back,
        harness.run_executor(simulator.url, MAX_ATTEMPTS="1"),
    ):
        job_id = harness.submit(image_prompt())
        wait_until(lambda: harness.job(job_id).attempt > 2, "several attempts")
        back.set()
        job = harness.wait_until_ended(job_id)
    assert (job.status, job.counted_attempts) == (JobStatus.SUCCEEDED, 1)
    assert any("Resuming" in message for message in harness.log_messages(job_id))


def test_an_unreadable_prompt_costs_no_attempt(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """The job is released with the reason, until the prompt can be read."""
    with (
        mock.patch.object(runner, "_MAX_PROMPT_WAIT_SECONDS", 0.2),
        mock.patch.object(runner, "_OUTAGE_DELAY_SECONDS", 0),
        mock.patch.object(store_availability, "_CLOSED_SECONDS", 0.1),
        unavailable(harness, "get") as back,
        harness.run_executor(simulator.url, MAX_ATTEMPTS="1"),
    ):
        job_id = submit_large(harness)
        wait_until(has_logged(harness, job_id, "Released: The store of prompts is unavailable"), "a release")
        wait_until(lambda: harness.job(job_id).attempt > 2, "several attempts")
        back.set()
        job = harness.wait_until_ended(job_id)
    assert (job.status, job.counted_attempts) == (JobStatus.SUCCEEDED, 1)


def test_a_canceled_job_does_not_wait(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """A cancel is too late for outputs that are being stored, but not for those that wait."""
    with unavailable(harness, "put_stream"), harness.run_executor(simulator.url):
        job_id = harness.submit(image_prompt())
        wait_until(has_logged(harness, job_id, "Waiting for the output store"), "the waiting job")
        harness.request_cancel(job_id)
        assert harness.wait_until_ended(job_id).status is JobStatus.CANCELED


@pytest.mark.parametrize("method", ["put_stream", "get"])
def test_a_shutdown_does_not_wait_for_a_store(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer, method: str
) -> None:
    """A job whose store hangs is released at once, and not counted."""
    reached, released = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        reached.set()
        released.wait()

    with mock.patch.object(harness.ports.objects, method, hang):
        with harness.run_executor(simulator.url, grace_seconds=0) as stop:
            job_id = submit_large(harness) if method == "get" else harness.submit(image_prompt())
            assert reached.wait(10)
            stop()
        job = harness.job(job_id)
        released.set()
    assert (job.status, job.counted_attempts) == (JobStatus.RUNNING, 0)
    assert job.lease_expires_at is not None
    assert job.lease_expires_at.timestamp() == 0
