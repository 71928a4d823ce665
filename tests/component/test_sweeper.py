"""The sweeper fails jobs that have neither a lease nor a message, and no others."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.domain.job import JobEnd, JobStatus, Priority, ended_event_id
from tests.component.event_functions import EventFunctions
from tests.component.samples import SUCCESS
from tests.component.sweeping import Sweeps, claimed

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.aws.clients import Clients
    from gateway.domain.job import Job
    from testing.clock import FakeClock


@pytest.mark.parametrize("priority", Priority)
def test_a_job_without_a_message_fails(event_functions: EventFunctions, sweeps: Sweeps, priority: Priority) -> None:
    """The job fails once, with a recommendation, and one event is published."""
    orphan = event_functions.record(priority=priority)
    sweeps.run_repeatedly()
    ended = event_functions.job(orphan.id)
    assert (ended.status, ended.attempt) == (JobStatus.FAILED, 0)
    assert ended.error is not None
    assert (ended.error.code, ended.error.retryable) == ("EXECUTOR_LOST", True)
    assert ended.error.recommendation
    assert [(event.event_id, event.status) for event in event_functions.published()] == [
        (ended_event_id(orphan.id), "failed")
    ]
    sweeps.run_repeatedly()
    assert event_functions.job(orphan.id) == ended
    assert event_functions.published() == []


def test_a_job_with_an_expired_lease_and_no_message_fails(event_functions: EventFunctions, sweeps: Sweeps) -> None:
    """A job with an expired lease, or without one, fails if it has no message."""
    orphan = claimed(event_functions, event_functions.record())
    released = claimed(event_functions, event_functions.record())
    event_functions.jobs.release(released)
    sweeps.run_repeatedly()
    assert {event_functions.job(job.id).status for job in (orphan, released)} == {JobStatus.FAILED}


def received_by_executor(event_functions: EventFunctions, job: Job) -> None:
    """Send a message, and receive it as an executor does."""
    event_functions.send(job)
    assert event_functions.queue.receive(job.priority, wait_seconds=2)


def released(event_functions: EventFunctions, job: Job) -> None:
    """Release an attempt; its message becomes visible after 90 seconds."""
    event_functions.send(job)
    received = event_functions.queue.receive(job.priority, wait_seconds=2)
    assert received
    event_functions.jobs.release(claimed(event_functions, job))
    event_functions.queue.change_visibility(received, 90)


def delayed(event_functions: EventFunctions, job: Job) -> None:
    """Send a delayed message."""
    url = event_functions.environment[f"{job.priority.upper()}_QUEUE_URL"]
    event_functions.clients.sqs.send_message(QueueUrl=url, MessageBody="a message", DelaySeconds=600)


def dead_lettered(event_functions: EventFunctions, job: Job) -> None:
    """Send a message to the dead-letter queue."""
    url = event_functions.environment[f"{job.priority.upper()}_DEAD_LETTER_QUEUE_URL"]
    event_functions.clients.sqs.send_message(QueueUrl=url, MessageBody="a message")


@pytest.mark.parametrize("place_message", [EventFunctions.send, received_by_executor, released, delayed, dead_lettered])
@pytest.mark.parametrize("priority", Priority)
def test_a_job_with_a_message_stays(
    event_functions: EventFunctions,
    sweeps: Sweeps,
    priority: Priority,
    place_message: Callable[[EventFunctions, Job], None],
) -> None:
    """A job with a message stays, whatever the message's state and the job's age."""
    job = event_functions.record(priority=priority)
    place_message(event_functions, job)
    sweeps.run_repeatedly(6)
    assert not event_functions.job(job.id).status.ended
    assert event_functions.published() == []


def test_a_job_with_a_lease_stays(event_functions: EventFunctions, sweeps: Sweeps, clock: FakeClock) -> None:
    """A job with a live lease stays, even without a message: SQS deletes messages after two weeks."""
    running = claimed(event_functions, event_functions.record())
    for _ in range(10):
        sweeps.run_once()
        event_functions.jobs.renew(running, lease_until=clock.now() + timedelta(seconds=30), progress=1)
    assert event_functions.jobs.finish(running, SUCCESS).status is JobStatus.SUCCEEDED


def test_a_job_that_is_being_accepted_stays(event_functions: EventFunctions, sweeps: Sweeps, clock: FakeClock) -> None:
    """A sweep between the record and the message of a job does not fail it."""
    sweeps.run_repeatedly()
    job = event_functions.record()
    sweeps.run_once(after_minutes=0)
    clock.advance(40)
    event_functions.send(job)
    sweeps.run_repeatedly(6)
    assert event_functions.job(job.id) == job


def test_a_job_claimed_during_a_sweep_stays(
    event_functions: EventFunctions, sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job claimed between the sweeper's read and write stays; a later sweep checks it again."""
    orphan = event_functions.record()
    fail = event_functions.jobs.fail_if_unleased

    def claim_before(*arguments: Any, **more: Any) -> Job:  # noqa: ANN401  passed on
        claimed(event_functions, orphan)
        return fail(*arguments, **more)

    sweeps.run_repeatedly(2)
    with monkeypatch.context() as patch:
        patch.setattr(event_functions.jobs, "fail_if_unleased", claim_before)
        sweeps.run_once()
    assert event_functions.job(orphan.id).status is JobStatus.RUNNING
    assert event_functions.published() == []
    sweeps.run_repeatedly()
    assert event_functions.job(orphan.id).status is JobStatus.FAILED


@pytest.mark.parametrize(("retention_days", "days"), [(30, 14), (1, 0.9), (14, 13.9)])
def test_a_job_that_waits_too_long_fails(
    aws: dict[str, str], aws_clients: Clients, clock: FakeClock, retention_days: int, days: float
) -> None:
    """A job fails before its record expires or when its message must have expired, even if the queue is not empty."""
    event_functions = EventFunctions({**aws, "RETENTION_DAYS": str(retention_days)}, aws_clients)
    sweeps = Sweeps(event_functions.wiring, clock)
    waiting, running = event_functions.record(), claimed(event_functions, event_functions.record())
    event_functions.send(waiting)
    clock.advance(timedelta(days=days).total_seconds())
    event_functions.jobs.renew(running, lease_until=clock.now() + timedelta(hours=3), progress=None)
    sweeps.run_once()
    assert event_functions.job(waiting.id) == waiting
    clock.advance(2 * 3600)
    sweeps.run_once()
    ended = event_functions.job(waiting.id)
    assert ended.error is not None
    assert ended.error.code == "EXECUTOR_LOST"
    assert clock.now() < waiting.created_at + timedelta(days=retention_days)
    assert [event.job_id for event in event_functions.published()] == [waiting.id]
    assert event_functions.job(running.id).status is JobStatus.RUNNING


@pytest.mark.parametrize("seed", range(2))
def test_only_lost_jobs_fail_in_random_sequences(
    event_functions: EventFunctions, sweeps: Sweeps, clock: FakeClock, seed: int
) -> None:
    """In random sequences of events, exactly the jobs without a message fail."""
    rng = random.Random(seed)  # noqa: S311  not for security
    sent: dict[str, Job] = {}
    orphans: dict[str, Job] = {}

    def accept() -> None:
        job = event_functions.record(priority=rng.choice(list(Priority)))
        if rng.random() < 0.5:
            orphans[job.id] = job
        else:
            event_functions.send(job)
            sent[job.id] = job

    def work() -> None:
        received = event_functions.queue.receive(rng.choice(list(Priority)), wait_seconds=0)
        if received is None:
            return
        attempt = claimed(event_functions, event_functions.job(received.message.job_id))
        if rng.random() < 0.3:
            event_functions.jobs.release(attempt)
            event_functions.queue.change_visibility(received, 0)
            return
        status = rng.choice([JobStatus.SUCCEEDED, JobStatus.CANCELED])
        event_functions.jobs.finish(attempt, JobEnd(status=status, completed_at=clock.now()))
        event_functions.queue.delete(received)

    def sweep() -> None:
        sweeps.run_once(rng.choice([2, 5, 5, 5, 9]))

    for _ in range(50):
        rng.choice([accept, work, work, sweep])()
        assert all(event_functions.job(job_id).status is not JobStatus.FAILED for job_id in sent)
    while any(not event_functions.job(job_id).status.ended for job_id in sent):
        work()
    sweeps.run_repeatedly()
    assert {event_functions.job(job_id).status for job_id in orphans} <= {JobStatus.FAILED}
    assert sorted(event.job_id for event in event_functions.published()) == sorted(orphans)
