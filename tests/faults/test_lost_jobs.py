"""Jobs whose executors die, and messages that no executor can use: every job ends, and no message remains."""

from __future__ import annotations

import json
import threading
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from functions.events import dead_letters
from functions.wiring.events import EventWiring
from gateway.aws.clients import Clients
from gateway.aws.resources import DEAD_LETTERS
from gateway.domain.job import JobStatus, Priority
from gateway.settings import BackgroundSettings
from local.event_sources.function import LocalFunction
from local.event_sources.sqs import QueueSource
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testing.executor_harness import AwsExecutorHarness
    from tests.faults.fault_environment import FaultEnvironment

KILLS = 2


def queue_url(harness: AwsExecutorHarness, priority: Priority = Priority.NORMAL) -> str:
    """Return the URL of a queue."""
    return harness.environment[f"{priority.upper()}_QUEUE_URL"]


def dead_letter_queue_url(harness: AwsExecutorHarness, priority: Priority = Priority.NORMAL) -> str:
    """Return the URL of a dead-letter queue."""
    return harness.environment[f"{priority.upper()}_DEAD_LETTER_QUEUE_URL"]


def set_max_receives(harness: AwsExecutorHarness, max_receives: int) -> None:
    """Move messages to the dead-letter queue after this many receives."""
    sqs, url = harness.clients.sqs, queue_url(harness)
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    redrive = json.dumps({**json.loads(policy), "maxReceiveCount": max_receives})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": redrive})


@contextmanager
def dead_letter_function(harness: AwsExecutorHarness) -> Iterator[None]:
    """Run the dead-letter function on its queues, with a visibility timeout of one second."""
    handler = dead_letters.handler.make_handler(EventWiring(BackgroundSettings.from_environment(harness.environment)))
    function, stopping, sqs = LocalFunction(DEAD_LETTERS, handler), threading.Event(), Clients().sqs
    urls = [dead_letter_queue_url(harness, priority) for priority in Priority]
    for url in urls:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
        QueueSource(sqs, url, function, 10, stopping).start()
    try:
        yield
    finally:
        stopping.set()
        for url in urls:
            sqs.send_message(QueueUrl=url, MessageBody="wake up")  # ends a long poll
        function.finish(seconds=5)


def kill_repeatedly(env: FaultEnvironment, job_id: str) -> None:
    """Start executors one after the other, and kill each one while it holds the job."""
    for attempt in range(1, KILLS + 1):
        with env.executor_process() as process:
            wait_until(lambda attempt=attempt: env.harness.job(job_id).attempt == attempt, f"attempt {attempt}")  # type: ignore[misc]  # binds now
            wait_until(lambda: env.prompt_count() == 1, "a prompt")
            process.kill()


def test_a_job_that_kills_its_executors_fails(env: FaultEnvironment) -> None:
    """The next executor fails it after MAX_ATTEMPTS, and cancels the prompt that the others left on ComfyUI."""
    job_id = env.harness.submit(sleep_prompt(60.0, steps=600))
    kill_repeatedly(env, job_id)
    with dead_letter_function(env.harness), env.healthy_executor(MAX_ATTEMPTS=str(KILLS)):
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.FAILED, KILLS + 1)
    assert job.error is not None
    assert job.error.code == "EXECUTOR_LOST"
    assert str(KILLS) in job.error.message


def test_a_dead_letter_fails_its_job(env: FaultEnvironment) -> None:
    """When its message was received too often, the dead-letter function fails the job."""
    job_id = env.harness.submit(sleep_prompt(60.0, steps=600))
    kill_repeatedly(env, job_id)
    env.simulator.restart()
    set_max_receives(env.harness, 1)
    with dead_letter_function(env.harness), env.healthy_executor():
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.FAILED, KILLS)
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == ("EXECUTOR_LOST", True)


def test_a_canceled_job_of_a_dead_executor_leaves_the_gpu(env: FaultEnvironment) -> None:
    """The next executor ends the job and cancels its prompt."""
    job_id = env.harness.submit(sleep_prompt(60.0, steps=600))
    with env.executor_process() as process:
        wait_until(lambda: env.prompt_count() == 1, "a prompt")
        process.kill()
    env.harness.request_cancel(job_id)
    with env.healthy_executor():
        (job,) = env.check_ended(job_id)
    assert job.status is JobStatus.CANCELED


def test_invalid_messages_block_no_job(env: FaultEnvironment) -> None:
    """Jobs behind them run; after too many receives they are deleted, and the jobs that they name have failed."""
    harness = env.harness
    set_max_receives(harness, 2)
    unread = harness.create_job()
    for body in ["garbage", json.dumps({"version": 99, "jobId": unread}), json.dumps({"jobId": str(uuid.uuid4())})]:
        harness.clients.sqs.send_message(QueueUrl=queue_url(harness), MessageBody=body)
    with dead_letter_function(harness), env.healthy_executor():
        read = harness.submit(image_prompt())
        jobs = env.check_ended(read, unread)
    assert [(job.status, job.attempt) for job in jobs] == [(JobStatus.SUCCEEDED, 1), (JobStatus.FAILED, 0)]


def test_a_dead_letter_does_not_harm_a_running_job(env: FaultEnvironment) -> None:
    """It is received again until the job has ended, and then deleted."""
    harness = env.harness
    with dead_letter_function(harness), env.healthy_executor():
        job_id = harness.submit(sleep_prompt(3.0))
        wait_until(lambda: harness.job(job_id).status is JobStatus.RUNNING, "a running job")
        letter = json.dumps({"jobId": job_id})
        harness.clients.sqs.send_message(QueueUrl=dead_letter_queue_url(harness), MessageBody=letter)
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_receives_cost_no_attempt(env: FaultEnvironment) -> None:
    """A message may be received many times, for example while ComfyUI is down; the job still has all its attempts."""
    job_id = env.harness.submit(image_prompt())
    for count in range(1, 40):
        received = env.harness.queue.receive(Priority.NORMAL, wait_seconds=2)
        assert received
        assert received.receive_count == count
        env.harness.queue.change_visibility(received, 0)
    with env.healthy_executor():
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
