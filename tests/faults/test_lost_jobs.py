"""Jobs whose executors die, and messages that no executor can use: each comes to one end, and nothing is left over."""

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


def queue_of(harness: AwsExecutorHarness, priority: Priority = Priority.NORMAL) -> str:
    """Name a queue."""
    return harness.environment[f"{priority.upper()}_QUEUE_URL"]


def dead_letter_queue_of(harness: AwsExecutorHarness, priority: Priority = Priority.NORMAL) -> str:
    """Name a dead-letter queue."""
    return harness.environment[f"{priority.upper()}_DEAD_LETTER_QUEUE_URL"]


def give_up_after(harness: AwsExecutorHarness, max_receives: int) -> None:
    """Let a message that was received so often become a dead letter the next time."""
    sqs, url = harness.clients.sqs, queue_of(harness)
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    redrive = json.dumps({**json.loads(policy), "maxReceiveCount": max_receives})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": redrive})


@contextmanager
def dead_letter_function(harness: AwsExecutorHarness) -> Iterator[None]:
    """Let the dead-letter queues start their function; what it leaves comes back after a second."""
    handler = dead_letters.handler.make_handler(EventWiring(BackgroundSettings.from_environment(harness.environment)))
    function, stopping, sqs = LocalFunction(DEAD_LETTERS, handler), threading.Event(), Clients().sqs
    urls = [dead_letter_queue_of(harness, priority) for priority in Priority]
    for url in urls:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
        QueueSource(sqs, url, function, 10, stopping).start()
    try:
        yield
    finally:
        stopping.set()
        for url in urls:
            sqs.send_message(QueueUrl=url, MessageBody="wake up")  # or long polls would outlive the test
        function.finish(seconds=5)


def kill_again_and_again(env: FaultEnvironment, job_id: str) -> None:
    """Start executors one after the other, and kill each while it holds the job."""
    for attempt in range(1, KILLS + 1):
        with env.executor_process() as process:
            wait_until(lambda attempt=attempt: env.harness.job(job_id).attempt == attempt, f"attempt {attempt}")  # type: ignore[misc]  # binds now
            wait_until(lambda: env.prompt_count() == 1, "a prompt")
            process.kill()


def test_a_job_that_its_executors_do_not_survive_ends(env: FaultEnvironment) -> None:
    """The next one gives the job up: once, and for good; what the others left running is taken off ComfyUI."""
    job_id = env.harness.submit(sleep_prompt(60.0, steps=600))
    kill_again_and_again(env, job_id)
    with dead_letter_function(env.harness), env.healthy_executor(MAX_ATTEMPTS=str(KILLS)):
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.FAILED, KILLS + 1)
    assert job.error is not None
    assert (job.error.code, job.error.message) == (
        "EXECUTOR_LOST",
        f"Gave up after {KILLS} attempts that did not finish.",
    )


def test_a_job_that_nobody_gives_up_ends(env: FaultEnvironment) -> None:
    """Its message becomes a dead letter, and what reads those fails the job."""
    job_id = env.harness.submit(sleep_prompt(60.0, steps=600))
    kill_again_and_again(env, job_id)
    env.simulator.restart()
    give_up_after(env.harness, 1)
    with dead_letter_function(env.harness), env.healthy_executor():
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.FAILED, KILLS)
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == ("EXECUTOR_LOST", True)


def test_a_canceled_job_whose_executor_died_leaves_the_gpu(env: FaultEnvironment) -> None:
    """It was asked to stop and died before it could: the next one ends the job and its prompt."""
    job_id = env.harness.submit(sleep_prompt(60.0, steps=600))
    with env.executor_process() as process:
        wait_until(lambda: env.prompt_count() == 1, "a prompt")
        process.kill()
    env.harness.request_cancel(job_id)
    with env.healthy_executor():
        (job,) = env.check_ended(job_id)
    assert job.status is JobStatus.CANCELED


def test_messages_that_nobody_can_read_hold_nothing_up(env: FaultEnvironment) -> None:
    """Jobs behind them run; once they have been tried often enough they are gone, and what they name has failed."""
    harness = env.harness
    give_up_after(harness, 2)
    unread = harness.create_job()
    for body in ["garbage", json.dumps({"version": 99, "jobId": unread}), json.dumps({"jobId": str(uuid.uuid4())})]:
        harness.clients.sqs.send_message(QueueUrl=queue_of(harness), MessageBody=body)
    with dead_letter_function(harness), env.healthy_executor():
        read = harness.submit(image_prompt())
        jobs = env.check_ended(read, unread)
    assert [(job.status, job.attempt) for job in jobs] == [(JobStatus.SUCCEEDED, 1), (JobStatus.FAILED, 0)]


def test_a_dead_letter_of_a_running_job_waits_for_its_end(env: FaultEnvironment) -> None:
    """It comes again and again and does the job no harm; with the job's end it is gone."""
    harness = env.harness
    with dead_letter_function(harness), env.healthy_executor():
        job_id = harness.submit(sleep_prompt(3.0))
        wait_until(lambda: harness.job(job_id).status is JobStatus.RUNNING, "a running job")
        letter = json.dumps({"jobId": job_id})
        harness.clients.sqs.send_message(QueueUrl=dead_letter_queue_of(harness), MessageBody=letter)
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_a_job_is_not_worn_out_by_waiting(env: FaultEnvironment) -> None:
    """Its message may be received many times, by executors whose ComfyUI is away, say; it still runs, first attempt."""
    job_id = env.harness.submit(image_prompt())
    for count in range(1, 40):
        received = env.harness.queue.receive(Priority.NORMAL, wait_seconds=2)
        assert received
        assert received.receive_count == count
        env.harness.queue.change_visibility(received, 0)
    with env.healthy_executor():
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
