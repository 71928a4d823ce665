"""The sweeper ends what nothing stands for, and nothing else."""

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
def test_a_job_without_a_message_ends(event_functions: EventFunctions, sweeps: Sweeps, priority: Priority) -> None:
    """It fails with what to do, once, and its end is announced once."""
    orphan = event_functions.record(priority=priority)
    sweeps.some()
    ended = event_functions.job(orphan.id)
    assert (ended.status, ended.attempt) == (JobStatus.FAILED, 0)
    assert ended.error is not None
    assert (ended.error.code, ended.error.retryable) == ("EXECUTOR_LOST", True)
    assert ended.error.recommendation
    assert [(event.event_id, event.status) for event in event_functions.published()] == [
        (ended_event_id(orphan.id), "failed")
    ]
    sweeps.some()
    assert event_functions.job(orphan.id) == ended
    assert event_functions.published() == []


def test_a_job_that_its_executor_left_without_a_message_ends(event_functions: EventFunctions, sweeps: Sweeps) -> None:
    """Its lease has run out, and nothing would bring it to another executor."""
    orphan = claimed(event_functions, event_functions.record())
    given_back = claimed(event_functions, event_functions.record())
    event_functions.jobs.release(given_back)
    sweeps.some()
    assert {event_functions.job(job.id).status for job in (orphan, given_back)} == {JobStatus.FAILED}


def in_a_hand(event_functions: EventFunctions, job: Job) -> None:
    """Let an executor have received the message."""
    event_functions.send(job)
    assert event_functions.queue.receive(job.priority, wait_seconds=2)


def given_back(event_functions: EventFunctions, job: Job) -> None:
    """Let an attempt have ended, and its message be hidden for a while."""
    event_functions.send(job)
    received = event_functions.queue.receive(job.priority, wait_seconds=2)
    assert received
    event_functions.jobs.release(claimed(event_functions, job))
    event_functions.queue.change_visibility(received, 90)


def delayed(event_functions: EventFunctions, job: Job) -> None:
    """Let a message come only later."""
    url = event_functions.environment[f"{job.priority.upper()}_QUEUE_URL"]
    event_functions.clients.sqs.send_message(QueueUrl=url, MessageBody="a message", DelaySeconds=600)


def dead(event_functions: EventFunctions, job: Job) -> None:
    """Let a message be in the dead-letter queue."""
    url = event_functions.environment[f"{job.priority.upper()}_DEAD_LETTER_QUEUE_URL"]
    event_functions.clients.sqs.send_message(QueueUrl=url, MessageBody="a message")


@pytest.mark.parametrize("stands", [EventFunctions.send, in_a_hand, given_back, delayed, dead])
@pytest.mark.parametrize("priority", Priority)
def test_a_job_with_a_message_goes_on(
    event_functions: EventFunctions,
    sweeps: Sweeps,
    priority: Priority,
    stands: Callable[[EventFunctions, Job], None],
) -> None:
    """Wherever the message is, and however long the job waits."""
    job = event_functions.record(priority=priority)
    stands(event_functions, job)
    sweeps.some(6)
    assert not event_functions.job(job.id).status.ended
    assert event_functions.published() == []


def test_a_job_with_a_lease_goes_on(event_functions: EventFunctions, sweeps: Sweeps, clock: FakeClock) -> None:
    """Even without a message, which SQS keeps for two weeks only."""
    running = claimed(event_functions, event_functions.record())
    for _ in range(10):
        sweeps.one()
        event_functions.jobs.renew(running, lease_until=clock.now() + timedelta(seconds=30), progress=1)
    assert event_functions.jobs.finish(running, SUCCESS).status is JobStatus.SUCCEEDED


def test_a_job_that_is_being_accepted_goes_on(
    event_functions: EventFunctions, sweeps: Sweeps, clock: FakeClock
) -> None:
    """Looks that come between its record and its message do not count."""
    sweeps.some()
    job = event_functions.record()
    sweeps.one(after_minutes=0)
    clock.advance(40)
    event_functions.send(job)
    sweeps.some(6)
    assert event_functions.job(job.id) == job


def test_a_job_that_is_taken_at_the_last_moment_goes_on(
    event_functions: EventFunctions, sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An executor that claims it between the look and the write has it; later, the sweeper looks at it again."""
    orphan = event_functions.record()
    fail = event_functions.jobs.fail_if_unleased

    def claim_before(*arguments: Any, **more: Any) -> Job:  # noqa: ANN401  as they come
        claimed(event_functions, orphan)
        return fail(*arguments, **more)

    sweeps.some(2)
    with monkeypatch.context() as taken:
        taken.setattr(event_functions.jobs, "fail_if_unleased", claim_before)
        sweeps.one()
    assert event_functions.job(orphan.id).status is JobStatus.RUNNING
    assert event_functions.published() == []
    sweeps.some()
    assert event_functions.job(orphan.id).status is JobStatus.FAILED


@pytest.mark.parametrize(("retention_days", "days"), [(30, 14), (1, 0.9), (14, 13.9)])
def test_a_job_that_waits_too_long_ends(
    aws: dict[str, str], aws_clients: Clients, clock: FakeClock, retention_days: int, days: float
) -> None:
    """Before its record goes, and when no message can be as old: also in a queue that is never empty."""
    event_functions = EventFunctions({**aws, "RETENTION_DAYS": str(retention_days)}, aws_clients)
    sweeps = Sweeps(event_functions.wiring, clock)
    waiting, running = event_functions.record(), claimed(event_functions, event_functions.record())
    event_functions.send(waiting)
    clock.advance(timedelta(days=days).total_seconds())
    event_functions.jobs.renew(running, lease_until=clock.now() + timedelta(hours=3), progress=None)
    sweeps.one()
    assert event_functions.job(waiting.id) == waiting
    clock.advance(2 * 3600)
    sweeps.one()
    ended = event_functions.job(waiting.id)
    assert ended.error is not None
    assert ended.error.code == "EXECUTOR_LOST"
    assert clock.now() < waiting.created_at + timedelta(days=retention_days)
    assert [event.job_id for event in event_functions.published()] == [waiting.id]
    assert event_functions.job(running.id).status is JobStatus.RUNNING


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_only_the_lost_are_ended(
    event_functions: EventFunctions, sweeps: Sweeps, clock: FakeClock, seed: int
) -> None:
    """Jobs come with and without a message, run, are given back and end, in any order, while the sweeper sweeps."""
    chance = random.Random(seed)  # noqa: S311  a test's
    honest: dict[str, Job] = {}
    orphans: dict[str, Job] = {}

    def accept() -> None:
        job = event_functions.record(priority=chance.choice(list(Priority)))
        if chance.random() < 0.5:
            orphans[job.id] = job
        else:
            event_functions.send(job)
            honest[job.id] = job

    def work() -> None:
        received = event_functions.queue.receive(chance.choice(list(Priority)), wait_seconds=0)
        if received is None:
            return
        attempt = claimed(event_functions, event_functions.job(received.message.job_id))
        if chance.random() < 0.3:
            event_functions.jobs.release(attempt)
            event_functions.queue.change_visibility(received, 0)
            return
        status = chance.choice([JobStatus.SUCCEEDED, JobStatus.CANCELED])
        event_functions.jobs.finish(attempt, JobEnd(status=status, completed_at=clock.now()))
        event_functions.queue.delete(received)

    def sweep() -> None:
        sweeps.one(chance.choice([2, 5, 5, 5, 9]))

    for _ in range(50):
        chance.choice([accept, work, work, sweep])()
        assert all(event_functions.job(job_id).status is not JobStatus.FAILED for job_id in honest)
    while any(not event_functions.job(job_id).status.ended for job_id in honest):
        work()
    sweeps.some()
    assert {event_functions.job(job_id).status for job_id in orphans} <= {JobStatus.FAILED}
    assert sorted(event.job_id for event in event_functions.published()) == sorted(orphans)
