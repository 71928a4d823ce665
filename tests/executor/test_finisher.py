"""Finishing a job, on in-memory ports and with a fake clock."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from executor.job.finisher import JobFinisher
from gateway.domain.job import Job, JobEnd, JobStatus, Output
from gateway.errors import LeaseLostError
from testing.ports import InMemoryPorts

if TYPE_CHECKING:
    from collections.abc import Callable

LEASE_SECONDS = 30
CACHE_SECONDS = 3600
OUTPUT = Output(filename="a.png", key="outputs/job-1/1/a.png", size=1, sha256="0" * 64, content_type="image/png")


@pytest.fixture
def ports() -> InMemoryPorts:
    """Return in-memory ports."""
    return InMemoryPorts()


@pytest.fixture
def finisher(ports: InMemoryPorts) -> JobFinisher:
    """Return a finisher on these ports."""
    return JobFinisher(
        jobs=ports.jobs,
        results=ports.results,
        bus=ports.events,
        result_ttl=timedelta(seconds=CACHE_SECONDS),
        lease_seconds=LEASE_SECONDS,
        clock=ports.clock,
    )


@pytest.fixture
def job(ports: InMemoryPorts) -> Job:
    """Return a claimed job."""
    now = ports.clock.now()
    created = Job(
        id="job-1",
        owner="ada",
        workflow_id="test",
        workflow_version=1,
        template_key="workflows/test/1.json",
        inputs={},
        correlation_id="c",
        created_at=now,
    )
    ports.jobs.create(created)
    lease_until = now + timedelta(seconds=LEASE_SECONDS)
    return ports.jobs.claim(created.id, executor_id="gpu-1", now=now, lease_until=lease_until)


def success(ports: InMemoryPorts) -> JobEnd:
    """Make a successful end."""
    return JobEnd(status=JobStatus.SUCCEEDED, completed_at=ports.clock.now(), outputs=(OUTPUT,))


def failing(times: int, then: Callable[..., Job]) -> Callable[..., Job]:
    """Return a function that raises ConnectionError this many times before it calls another one."""
    remaining = iter(range(times))

    def call(*arguments: object) -> Job:
        if next(remaining, None) is not None:
            raise ConnectionError
        return then(*arguments)

    return call


def test_the_terminal_write_is_retried(
    ports: InMemoryPorts, finisher: JobFinisher, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During an outage that is shorter than a lease, no work is lost."""
    monkeypatch.setattr(ports.jobs, "finish", failing(LEASE_SECONDS - 1, ports.jobs.finish))
    assert finisher.write(job, success(ports)).status is JobStatus.SUCCEEDED


def test_the_terminal_write_is_not_retried_forever(
    ports: InMemoryPorts, finisher: JobFinisher, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a lease the error is raised, and the next attempt continues."""
    monkeypatch.setattr(ports.jobs, "finish", failing(10 * LEASE_SECONDS, ports.jobs.finish))
    started_at = ports.clock.monotonic()
    with pytest.raises(ConnectionError):
        finisher.write(job, success(ports))
    assert LEASE_SECONDS < ports.clock.monotonic() - started_at < 2 * LEASE_SECONDS


def test_a_lost_lease_is_not_retried(ports: InMemoryPorts, finisher: JobFinisher, job: Job) -> None:
    """Another attempt holds the job: this one can write nothing."""
    ports.jobs.release(job)
    now = ports.clock.now()
    ports.jobs.claim(job.id, executor_id="gpu-2", now=now, lease_until=now + timedelta(minutes=1))
    with pytest.raises(LeaseLostError):
        finisher.write(job, success(ports))
    assert ports.clock.now() == now


def test_a_result_is_cached_for_its_lifetime(ports: InMemoryPorts, finisher: JobFinisher, job: Job) -> None:
    """Only for a job with a cache key."""
    ended = finisher.write(job, success(ports))
    finisher.cache_result(None, ended)
    finisher.cache_result("key", ended)
    cached = ports.results.find("key", now=ports.clock.now())
    assert cached is not None
    assert (cached.job_id, cached.outputs) == (job.id, (OUTPUT,))
    assert ports.results.find("key", now=ports.clock.now() + timedelta(seconds=CACHE_SECONDS + 1)) is None


def test_a_result_that_cannot_be_cached_is_skipped(
    ports: InMemoryPorts, finisher: JobFinisher, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job has succeeded all the same."""
    monkeypatch.setattr(ports.results, "put", lambda *_, **__: 1 / 0)
    finisher.cache_result("key", finisher.write(job, success(ports)))


def test_publishing_again_repeats_the_event(ports: InMemoryPorts, finisher: JobFinisher, job: Job) -> None:
    """With the same id, so that receivers can drop it."""
    ended = finisher.write(job, success(ports))
    finisher.publish(ended)
    finisher.publish(ended)
    first, second = ports.events.published
    assert first.event_id == second.event_id
