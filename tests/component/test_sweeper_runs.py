"""Runs of the sweeper: recovery, concurrency, limits and costs."""

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


def test_a_failed_run_is_completed_by_the_next(
    event_functions: EventFunctions, sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a run fails between the terminal write and the event, the next run publishes the event and continues."""
    orphans = [event_functions.record() for _ in range(3)]

    def reject(_event: JobEndedEvent) -> None:
        raise EventNotPublishedError("InternalFailure")

    sweeps.run_repeatedly(2)
    with monkeypatch.context() as failing_bus:
        failing_bus.setattr(event_functions.wiring.bus, "publish", reject)
        with pytest.raises(EventNotPublishedError):
            sweeps.run_once()
    assert Counter(event_functions.job(job.id).status for job in orphans) == {JobStatus.FAILED: 1, JobStatus.QUEUED: 2}
    sweeps.run_once()
    published = event_functions.published()
    assert sorted(event.event_id for event in published) == sorted(ended_event_id(job.id) for job in orphans)
    sweeps.run_repeatedly()
    assert event_functions.published() == []


def test_a_second_run_at_the_same_time_does_nothing(
    event_functions: EventFunctions, sweeps: Sweeps, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run during or right after another does nothing."""
    orphan = event_functions.record()
    sweeps.run_repeatedly(2)
    write, other = event_functions.wiring.sweeps.write, Sweeps(event_functions.wiring, clock)

    def write_after_another_run(sweep: Any) -> Any:  # noqa: ANN401  passed on
        monkeypatch.setattr(event_functions.wiring.sweeps, "write", write)
        other.run_once(after_minutes=0)
        return write(sweep)

    monkeypatch.setattr(event_functions.wiring.sweeps, "write", write_after_another_run)
    sweeps.run_once()
    other.run_once(after_minutes=0)
    assert event_functions.job(orphan.id).status is JobStatus.FAILED
    assert len(event_functions.published()) == 1


def test_an_idle_run_costs_few_calls(event_functions: EventFunctions, sweeps: Sweeps, aws_clients: Clients) -> None:
    """An idle run reads its state, six queues and four index partitions, and no ended jobs."""
    for _ in range(3):
        event_functions.jobs.finish(claimed(event_functions, event_functions.record()), SUCCESS)
    sweeps.run_repeatedly()
    with aws_calls(aws_clients) as calls:
        sweeps.run_once()
    assert Counter(calls) == {
        "dynamodb.GetItem": 1,
        "sqs.GetQueueAttributes": 6,
        "dynamodb.Query": 4,
        "dynamodb.PutItem": 1,
    }


def test_no_jobs_are_read_while_all_queues_have_messages(
    event_functions: EventFunctions, sweeps: Sweeps, aws_clients: Clients, clock: FakeClock
) -> None:
    """While all queues have messages, a run reads its state and the queues only, once older jobs are processed."""
    for priority in Priority:
        event_functions.send(event_functions.record(priority=priority))
    sweeps.run_repeatedly(6)
    with aws_calls(aws_clients) as calls:
        sweeps.run_once()
    assert "dynamodb.BatchGetItem" not in calls
    event_functions.wiring.sweeps.write(replace(event_functions.wiring.sweeps.read(), ended_before=clock.now()))
    with aws_calls(aws_clients) as calls:
        sweeps.run_once()
    assert Counter(calls) == {"dynamodb.GetItem": 1, "sqs.GetQueueAttributes": 6, "dynamodb.PutItem": 1}


def test_runs_are_limited_and_continue(
    event_functions: EventFunctions, sweeps: Sweeps, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run reads and fails a limited number of jobs, and the following runs process the rest."""
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
    sweeps.run_repeatedly(2)
    ends = []
    for _ in range(6):
        sweeps.run_once()
        ends.append(len(event_functions.published()))
    assert max(ends) == 2
    assert sum(ends) == len(lost)
    assert {event_functions.job(job.id).status for job in lost} == {JobStatus.FAILED}


def test_jobs_of_a_period_are_read_oldest_first(
    event_functions: EventFunctions, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs of a period come from all index partitions and pages, each once; the period's end is exclusive."""
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
    """Without stored state, a run starts with a default; stored state is read unchanged, and writes are conditional."""
    background = EventWiring(BackgroundSettings.from_environment(aws))
    background._clients = aws_clients
    now = SYSTEM_CLOCK.now()
    sweep = background.sweeps.read()
    known = replace(sweep.after_count(dict.fromkeys(Priority, 0), now), ended_before=now, unannounced=("a", "b"))
    assert background.sweeps.write(known) == replace(known, version=1)
    assert background.sweeps.read() == replace(known, version=1)
    assert background.sweeps.write(known) is None
