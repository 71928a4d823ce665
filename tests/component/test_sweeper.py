"""The sweeper ends what nothing stands for, and nothing else."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from functions import sweeper
from functions.background import Background
from gateway.aws import job_list
from gateway.domain import instant
from gateway.domain.job import JobEnd, JobStatus, Priority, ended_event_id
from gateway.errors import EventNotPublishedError
from gateway.settings import BackgroundSettings
from tests.component.api import aws_calls
from tests.component.backstage import NO_CONTEXT, Backstage
from tests.component.samples import SUCCESS

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.aws.clients import Clients
    from gateway.domain.job import Job
    from gateway.domain.messages import JobEndedEvent

EVERY_MINUTES = 5


class Clock:
    """The clock of everything in this process; it stands until it is moved on."""

    def __init__(self) -> None:
        self.now = instant.now()

    def pass_by(self, **time: float) -> None:
        """Move on."""
        self.now += timedelta(**time)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Take the clock over."""
    clock = Clock()
    monkeypatch.setattr(instant, "now", lambda: clock.now)
    return clock


class Sweeps:
    """The function, started by a clock."""

    def __init__(self, background: Background, clock: Clock) -> None:
        self._handler = sweeper.make_handler(background)
        self._clock = clock

    def one(self, after_minutes: float = EVERY_MINUTES) -> None:
        """Let some time pass, then sweep."""
        self._clock.pass_by(minutes=after_minutes)
        self._handler({"detail-type": "Scheduled Event"}, NO_CONTEXT)

    def some(self, count: int = 4) -> None:
        """Sweep for as long as it takes to find what is lost."""
        for _ in range(count):
            self.one()


@pytest.fixture
def sweeps(backstage: Backstage, clock: Clock) -> Sweeps:
    """Give the function."""
    return Sweeps(backstage.background, clock)


def claimed(backstage: Backstage, job: Job, lease: timedelta = timedelta(seconds=30)) -> Job:
    """Claim a job."""
    now = instant.now()
    return backstage.jobs.claim(job.id, executor_id="e-1", now=now, lease_until=now + lease)


@pytest.mark.parametrize("priority", Priority)
def test_a_job_without_a_message_ends(backstage: Backstage, sweeps: Sweeps, priority: Priority) -> None:
    """It fails with what to do, once, and its end is announced once."""
    orphan = backstage.record(priority=priority)
    sweeps.some()
    ended = backstage.job(orphan.id)
    assert (ended.status, ended.attempt) == (JobStatus.FAILED, 0)
    assert ended.error is not None
    assert (ended.error.code, ended.error.recommendation) == ("EXECUTOR_LOST", "Send it again.")
    assert [(event.event_id, event.status) for event in backstage.heard()] == [(ended_event_id(orphan.id), "failed")]
    sweeps.some()
    assert backstage.job(orphan.id) == ended
    assert backstage.heard() == []


def test_a_job_that_its_executor_left_without_a_message_ends(backstage: Backstage, sweeps: Sweeps) -> None:
    """Its lease has run out, and nothing would bring it to another executor."""
    orphan = claimed(backstage, backstage.record())
    given_back = claimed(backstage, backstage.record())
    backstage.jobs.give_back(given_back)
    sweeps.some()
    assert {backstage.job(job.id).status for job in (orphan, given_back)} == {JobStatus.FAILED}


def in_a_hand(backstage: Backstage, job: Job) -> None:
    """Let an executor have received the message."""
    backstage.send(job)
    assert backstage.queue.receive(job.priority, wait_seconds=2)


def given_back(backstage: Backstage, job: Job) -> None:
    """Let an attempt have ended, and its message be hidden for a while."""
    backstage.send(job)
    received = backstage.queue.receive(job.priority, wait_seconds=2)
    assert received
    backstage.jobs.give_back(claimed(backstage, job))
    backstage.queue.hide(received, 90)


def delayed(backstage: Backstage, job: Job) -> None:
    """Let a message come only later."""
    url = backstage.environment[f"{job.priority.upper()}_QUEUE_URL"]
    backstage.clients.sqs.send_message(QueueUrl=url, MessageBody="a message", DelaySeconds=600)


def dead(backstage: Backstage, job: Job) -> None:
    """Let a message be in the dead-letter queue."""
    url = backstage.environment[f"{job.priority.upper()}_DEAD_LETTER_QUEUE_URL"]
    backstage.clients.sqs.send_message(QueueUrl=url, MessageBody="a message")


@pytest.mark.parametrize("stands", [Backstage.send, in_a_hand, given_back, delayed, dead])
@pytest.mark.parametrize("priority", Priority)
def test_a_job_with_a_message_goes_on(backstage: Backstage, sweeps: Sweeps, priority: Priority, stands: Any) -> None:  # noqa: ANN401  one of these
    """Wherever the message is, and however long the job waits."""
    job = backstage.record(priority=priority)
    stands(backstage, job)
    sweeps.some(6)
    assert not backstage.job(job.id).status.ended
    assert backstage.heard() == []


def test_a_job_with_a_lease_goes_on(backstage: Backstage, sweeps: Sweeps, clock: Clock) -> None:
    """Even without a message, which SQS keeps for two weeks only."""
    running = claimed(backstage, backstage.record())
    for _ in range(10):
        sweeps.one()
        backstage.jobs.renew(running, lease_until=clock.now + timedelta(seconds=30), progress=1)
    assert backstage.jobs.finish(running, SUCCESS).status is JobStatus.SUCCEEDED


def test_a_job_that_is_being_accepted_goes_on(backstage: Backstage, sweeps: Sweeps, clock: Clock) -> None:
    """Looks that come between its record and its message do not count."""
    sweeps.some()
    job = backstage.record()
    sweeps.one(after_minutes=0)
    clock.pass_by(seconds=40)
    backstage.send(job)
    sweeps.some(6)
    assert backstage.job(job.id) == job


def test_a_job_that_is_taken_at_the_last_moment_goes_on(
    backstage: Backstage, sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An executor that claims it between the look and the write has it; later, the sweeper looks at it again."""
    orphan = backstage.record()
    fail = backstage.jobs.fail_unheld

    def claim_before(*arguments: Any, **more: Any) -> Job:  # noqa: ANN401  as they come
        claimed(backstage, orphan)
        return fail(*arguments, **more)

    sweeps.some(2)
    with monkeypatch.context() as taken:
        taken.setattr(backstage.jobs, "fail_unheld", claim_before)
        sweeps.one()
    assert backstage.job(orphan.id).status is JobStatus.RUNNING
    assert backstage.heard() == []
    sweeps.some()
    assert backstage.job(orphan.id).status is JobStatus.FAILED


@pytest.mark.parametrize(("retention_days", "days"), [(30, 14), (1, 0.9), (14, 13.9)])
def test_a_job_that_waits_too_long_ends(
    aws: dict[str, str], aws_clients: Clients, clock: Clock, retention_days: int, days: float
) -> None:
    """Before its record goes, and when no message can be as old: also in a queue that is never empty."""
    backstage = Backstage({**aws, "RETENTION_DAYS": str(retention_days)}, aws_clients)
    sweeps = Sweeps(backstage.background, clock)
    waiting, running = backstage.record(), claimed(backstage, backstage.record())
    backstage.send(waiting)
    clock.pass_by(days=days)
    backstage.jobs.renew(running, lease_until=clock.now + timedelta(hours=3), progress=None)
    sweeps.one()
    assert backstage.job(waiting.id) == waiting
    clock.pass_by(hours=2)
    sweeps.one()
    ended = backstage.job(waiting.id)
    assert ended.error is not None
    assert (ended.error.code, "waiting" in ended.error.message) == ("EXECUTOR_LOST", True)
    assert clock.now < waiting.created_at + timedelta(days=retention_days)
    assert [event.job_id for event in backstage.heard()] == [waiting.id]
    assert backstage.job(running.id).status is JobStatus.RUNNING


def test_an_end_is_announced_though_the_sweeper_dies(
    backstage: Backstage, sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies between the terminal write and the event: the next run says it, with the same id, and goes on."""
    orphans = [backstage.record() for _ in range(3)]

    def die(_event: JobEndedEvent) -> None:
        raise EventNotPublishedError("InternalFailure")

    sweeps.some(2)
    with monkeypatch.context() as dying:
        dying.setattr(backstage.background.bus, "publish", die)
        with pytest.raises(EventNotPublishedError):
            sweeps.one()
    assert Counter(backstage.job(job.id).status for job in orphans) == {JobStatus.FAILED: 1, JobStatus.QUEUED: 2}
    sweeps.one()
    heard = backstage.heard()
    assert sorted(event.event_id for event in heard) == sorted(ended_event_id(job.id) for job in orphans)
    sweeps.some()
    assert backstage.heard() == []


def test_a_second_run_at_the_same_time_does_nothing(
    backstage: Backstage, sweeps: Sweeps, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it comes while the first one works, or right after."""
    orphan = backstage.record()
    sweeps.some(2)
    write, other = backstage.background.sweeps.write, Sweeps(backstage.background, clock)

    def overtaken(sweep: Any) -> Any:  # noqa: ANN401  passed on
        monkeypatch.setattr(backstage.background.sweeps, "write", write)
        other.one(after_minutes=0)
        return write(sweep)

    monkeypatch.setattr(backstage.background.sweeps, "write", overtaken)
    sweeps.one()
    other.one(after_minutes=0)
    assert backstage.job(orphan.id).status is JobStatus.FAILED
    assert len(backstage.heard()) == 1


def test_an_idle_system_costs_little(backstage: Backstage, sweeps: Sweeps, aws_clients: Clients) -> None:
    """Its state, six queues, and the four parts of the list; jobs that have ended are not read again."""
    for _ in range(3):
        backstage.jobs.finish(claimed(backstage, backstage.record()), SUCCESS)
    sweeps.some()
    with aws_calls(aws_clients) as calls:
        sweeps.one()
    assert Counter(calls) == {
        "dynamodb.GetItem": 1,
        "sqs.GetQueueAttributes": 6,
        "dynamodb.Query": 4,
        "dynamodb.PutItem": 1,
    }


def test_while_nothing_can_be_told_nothing_is_read(
    backstage: Backstage, sweeps: Sweeps, aws_clients: Clients, clock: Clock
) -> None:
    """With messages in all queues only the state and the queues are looked at, once what is older is done with."""
    for priority in Priority:
        backstage.send(backstage.record(priority=priority))
    sweeps.some(6)
    with aws_calls(aws_clients) as calls:
        sweeps.one()
    assert "dynamodb.BatchGetItem" not in calls
    backstage.background.sweeps.write(replace(backstage.background.sweeps.read(), ended_before=clock.now))
    with aws_calls(aws_clients) as calls:
        sweeps.one()
    assert Counter(calls) == {"dynamodb.GetItem": 1, "sqs.GetQueueAttributes": 6, "dynamodb.PutItem": 1}


def test_a_run_is_bounded_and_the_next_goes_on(
    backstage: Backstage, sweeps: Sweeps, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many jobs there are, each run reads and ends so many, and in the end every lost one has ended."""
    monkeypatch.setattr(sweeper, "_MOST_READ", 6)
    monkeypatch.setattr(sweeper, "_MOST_ENDED", 2)
    lost = []
    for number in range(20):
        job = backstage.record()
        clock.pass_by(milliseconds=1)
        if number % 3 == 0:
            lost.append(job)
        else:
            backstage.jobs.finish(claimed(backstage, job), SUCCESS)
    sweeps.some(2)
    ends = []
    for _ in range(6):
        sweeps.one()
        ends.append(len(backstage.heard()))
    assert max(ends) == 2
    assert sum(ends) == len(lost)
    assert {backstage.job(job.id).status for job in lost} == {JobStatus.FAILED}


def test_the_jobs_of_a_time_come_oldest_first(
    backstage: Backstage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From all parts of the list and over many pages, each once, the end of the time left out."""
    monkeypatch.setattr(job_list, "_BATCH", 3)
    start, jobs = clock.now, []
    for _ in range(25):
        jobs.append(backstage.record())
        clock.pass_by(milliseconds=1)
    read = backstage.background.job_list.accepted

    def ids(since: datetime, before: datetime) -> list[str]:
        return [job.id for job in read(since, before)]

    assert ids(start, clock.now) == [job.id for job in jobs]
    assert ids(jobs[5].created_at, jobs[9].created_at) == [job.id for job in jobs[5:9]]
    assert ids(clock.now, clock.now) == []


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_only_the_lost_are_ended(
    backstage: Backstage, sweeps: Sweeps, clock: Clock, seed: int
) -> None:
    """Jobs come with and without a message, run, are given back and end, in any order, while the sweeper sweeps."""
    chance = random.Random(seed)  # noqa: S311  a test's
    honest: dict[str, Job] = {}
    orphans: dict[str, Job] = {}

    def accept() -> None:
        job = backstage.record(priority=chance.choice(list(Priority)))
        if chance.random() < 0.5:
            orphans[job.id] = job
        else:
            backstage.send(job)
            honest[job.id] = job

    def work() -> None:
        received = backstage.queue.receive(chance.choice(list(Priority)), wait_seconds=0)
        if received is None:
            return
        attempt = claimed(backstage, backstage.job(received.message.job_id))
        if chance.random() < 0.3:
            backstage.jobs.give_back(attempt)
            backstage.queue.hide(received, 0)
            return
        status = chance.choice([JobStatus.SUCCEEDED, JobStatus.CANCELED])
        backstage.jobs.finish(attempt, JobEnd(status=status, completed_at=clock.now))
        backstage.queue.delete(received)

    def sweep() -> None:
        sweeps.one(chance.choice([2, 5, 5, 5, 9]))

    for _ in range(50):
        chance.choice([accept, work, work, sweep])()
        assert all(backstage.job(job_id).status is not JobStatus.FAILED for job_id in honest)
    while any(not backstage.job(job_id).status.ended for job_id in honest):
        work()
    sweeps.some()
    assert {backstage.job(job_id).status for job_id in orphans} <= {JobStatus.FAILED}
    assert sorted(event.job_id for event in backstage.heard()) == sorted(orphans)


def test_a_first_run_needs_no_state(aws: dict[str, str], aws_clients: Clients) -> None:
    """Nothing has to be there; what one run wrote the next one reads as it was."""
    background = Background(BackgroundSettings.from_environment(aws))
    background._clients = aws_clients
    now = instant.now()
    sweep = background.sweeps.read()
    known = replace(sweep.after_look(dict.fromkeys(Priority, 0), now), ended_before=now, unannounced=("a", "b"))
    assert background.sweeps.write(known) == replace(known, version=1)
    assert background.sweeps.read() == replace(known, version=1)
    assert background.sweeps.write(known) is None
