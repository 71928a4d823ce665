"""The runs of the sweeper: bounded, cheap, and none of them in the way of another."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.events import sweeper
from functions.wiring.events import EventWiring
from gateway.aws.dynamodb import job_list
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import JobStatus, Priority, ended_event_id
from gateway.errors import EventNotPublishedError
from gateway.settings import BackgroundSettings
from tests.component.api import aws_calls
from tests.component.samples import SUCCESS
from tests.component.sweeping import Sweeps, claimed

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.aws.clients import Clients
    from gateway.domain.messages import JobEndedEvent
    from testing.clock import FakeClock
    from tests.component.event_functions import EventFunctions


def test_an_end_is_announced_though_the_sweeper_dies(
    event_functions: EventFunctions, sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies between the terminal write and the event: the next run says it, with the same id, and goes on."""
    orphans = [event_functions.record() for _ in range(3)]

    def die(_event: JobEndedEvent) -> None:
        raise EventNotPublishedError("InternalFailure")

    sweeps.some(2)
    with monkeypatch.context() as dying:
        dying.setattr(event_functions.wiring.bus, "publish", die)
        with pytest.raises(EventNotPublishedError):
            sweeps.one()
    assert Counter(event_functions.job(job.id).status for job in orphans) == {JobStatus.FAILED: 1, JobStatus.QUEUED: 2}
    sweeps.one()
    heard = event_functions.published()
    assert sorted(event.event_id for event in heard) == sorted(ended_event_id(job.id) for job in orphans)
    sweeps.some()
    assert event_functions.published() == []


def test_a_second_run_at_the_same_time_does_nothing(
    event_functions: EventFunctions, sweeps: Sweeps, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it comes while the first one works, or right after."""
    orphan = event_functions.record()
    sweeps.some(2)
    write, other = event_functions.wiring.sweeps.write, Sweeps(event_functions.wiring, clock)

    def overtaken(sweep: Any) -> Any:  # noqa: ANN401  passed on
        monkeypatch.setattr(event_functions.wiring.sweeps, "write", write)
        other.one(after_minutes=0)
        return write(sweep)

    monkeypatch.setattr(event_functions.wiring.sweeps, "write", overtaken)
    sweeps.one()
    other.one(after_minutes=0)
    assert event_functions.job(orphan.id).status is JobStatus.FAILED
    assert len(event_functions.published()) == 1


def test_an_idle_system_costs_little(event_functions: EventFunctions, sweeps: Sweeps, aws_clients: Clients) -> None:
    """Its state, six queues, and the four parts of the list; jobs that have ended are not read again."""
    for _ in range(3):
        event_functions.jobs.finish(claimed(event_functions, event_functions.record()), SUCCESS)
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
    event_functions: EventFunctions, sweeps: Sweeps, aws_clients: Clients, clock: FakeClock
) -> None:
    """With messages in all queues only the state and the queues are looked at, once what is older is done with."""
    for priority in Priority:
        event_functions.send(event_functions.record(priority=priority))
    sweeps.some(6)
    with aws_calls(aws_clients) as calls:
        sweeps.one()
    assert "dynamodb.BatchGetItem" not in calls
    event_functions.wiring.sweeps.write(replace(event_functions.wiring.sweeps.read(), ended_before=clock.now()))
    with aws_calls(aws_clients) as calls:
        sweeps.one()
    assert Counter(calls) == {"dynamodb.GetItem": 1, "sqs.GetQueueAttributes": 6, "dynamodb.PutItem": 1}


def test_a_run_is_bounded_and_the_next_goes_on(
    event_functions: EventFunctions, sweeps: Sweeps, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many jobs there are, each run reads and ends so many, and in the end every lost one has ended."""
    monkeypatch.setattr(sweeper, "_MAX_JOBS_READ", 6)
    monkeypatch.setattr(sweeper, "_MAX_JOBS_FAILED", 2)
    lost = []
    for number in range(20):
        job = event_functions.record()
        clock.advance(0.001)
        if number % 3 == 0:
            lost.append(job)
        else:
            event_functions.jobs.finish(claimed(event_functions, job), SUCCESS)
    sweeps.some(2)
    ends = []
    for _ in range(6):
        sweeps.one()
        ends.append(len(event_functions.published()))
    assert max(ends) == 2
    assert sum(ends) == len(lost)
    assert {event_functions.job(job.id).status for job in lost} == {JobStatus.FAILED}


def test_the_jobs_of_a_time_come_oldest_first(
    event_functions: EventFunctions, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From all parts of the list and over many pages, each once, the end of the time left out."""
    monkeypatch.setattr(job_list, "_BATCH", 3)
    start, jobs = clock.now(), []
    for _ in range(25):
        jobs.append(event_functions.record())
        clock.advance(0.001)
    read = event_functions.wiring.job_list.accepted

    def ids(since: datetime, before: datetime) -> list[str]:
        return [job.id for job in read(since, before)]

    assert ids(start, clock.now()) == [job.id for job in jobs]
    assert ids(jobs[5].created_at, jobs[9].created_at) == [job.id for job in jobs[5:9]]
    assert ids(clock.now(), clock.now()) == []


def test_a_first_run_needs_no_state(aws: dict[str, str], aws_clients: Clients) -> None:
    """Nothing has to be there; what one run wrote the next one reads as it was."""
    background = EventWiring(BackgroundSettings.from_environment(aws))
    background._clients = aws_clients
    now = SYSTEM_CLOCK.now()
    sweep = background.sweeps.read()
    known = replace(sweep.after_count(dict.fromkeys(Priority, 0), now), ended_before=now, unannounced=("a", "b"))
    assert background.sweeps.write(known) == replace(known, version=1)
    assert background.sweeps.read() == replace(known, version=1)
    assert background.sweeps.write(known) is None
