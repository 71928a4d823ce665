"""The port DeliveryStore."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.domain.delivery import ATTEMPT_HOLD, CLOCK_SKEW, AttemptResult, Delivery, DeliveryStatus
from gateway.domain.job_errors import DeliveryNotDueError
from gateway.errors import LeaseLostError, StateConflictError
from tests.component.samples import LATER, NOW, SOON, SUCCESS, new_job, run_concurrently

if TYPE_CHECKING:
    from gateway.domain.job import Job
    from tests.ports.conftest import Ports

URL = "https://example.com/hook"
OK = AttemptResult(duration_ms=5, status_code=200)
REFUSED = AttemptResult(duration_ms=5, status_code=500, error="The receiver responded with 500.")


def ended_job(ports: Ports, callback_url: str | None = URL) -> Job:
    """Store a job that has ended."""
    job = new_job(callback_url=callback_url)
    ports.jobs.create(job)
    return ports.jobs.finish(ports.jobs.claim(job.id, executor_id="e", now=NOW, lease_until=SOON), SUCCESS)


def stored(ports: Ports, job: Job) -> Delivery:
    """Read a job's delivery."""
    found = ports.jobs.get(job.id)
    assert found is not None
    return found.delivery


def attempt(ports: Ports, job: Job, result: AttemptResult, *, retry_seconds: int | None = None) -> Delivery:
    """Make an attempt and record how it ended."""
    begun = ports.deliveries.begin(job.id, now=LATER, last=False).delivery.begun(LATER)
    ended = begun.ended(result, LATER, LATER, retry_seconds=retry_seconds, message_id="m")
    ports.deliveries.record(job.id, ended)
    return ended


def test_an_attempt_holds_the_delivery(ports: Ports) -> None:
    """Beginning returns the job as it was before; no other attempt can begin until the first must have ended."""
    job = ended_job(ports)
    assert ports.deliveries.begin(job.id, now=NOW, last=False) == job
    held = stored(ports, job)
    assert (held.attempt_count, held.held_since, held.status) == (1, NOW, DeliveryStatus.PENDING)
    with pytest.raises(DeliveryNotDueError) as caught:
        ports.deliveries.begin(job.id, now=NOW + ATTEMPT_HOLD - timedelta(milliseconds=1), last=False)
    assert caught.value.job == replace(job, delivery=held)
    assert ports.deliveries.begin(job.id, now=NOW + ATTEMPT_HOLD, last=False).delivery == held


def test_a_race_to_begin_has_one_winner(ports: Ports) -> None:
    """Eight attempts begin at once: one may go on."""
    job = ended_job(ports)

    def begin(_: int) -> bool:
        try:
            ports.deliveries.begin(job.id, now=NOW, last=False)
        except DeliveryNotDueError:
            return False
        return True

    assert sum(run_concurrently(8, begin)) == 1


def test_a_success_ends_the_delivery(ports: Ports) -> None:
    """It is read as recorded, and no further attempt can begin."""
    job = ended_job(ports)
    delivered = attempt(ports, job, OK)
    assert stored(ports, job) == delivered
    assert delivered.status is DeliveryStatus.DELIVERED
    with pytest.raises(DeliveryNotDueError):
        ports.deliveries.begin(job.id, now=LATER + timedelta(days=1), last=False)


def test_a_failed_attempt_is_repeated_when_it_is_due(ports: Ports) -> None:
    """Not before, apart from the allowed clock difference."""
    job = ended_job(ports)
    retrying = attempt(ports, job, REFUSED, retry_seconds=60)
    assert stored(ports, job) == retrying
    due = LATER + timedelta(seconds=60)
    with pytest.raises(DeliveryNotDueError):
        ports.deliveries.begin(job.id, now=due - CLOCK_SKEW - timedelta(milliseconds=1), last=False)
    assert ports.deliveries.begin(job.id, now=due - CLOCK_SKEW, last=False).delivery == retrying


def test_the_last_attempt_counts_as_failed_until_it_is_recorded(ports: Ports) -> None:
    """In case the function breaks off and never records it."""
    job = ended_job(ports)
    ports.deliveries.begin(job.id, now=NOW, last=True)
    assert stored(ports, job).status is DeliveryStatus.FAILED


def test_a_stale_attempt_records_nothing(ports: Ports) -> None:
    """Once a later attempt has begun, the earlier one loses its lease."""
    job = ended_job(ports)
    stale = ports.deliveries.begin(job.id, now=NOW, last=False).delivery.begun(NOW)
    ports.deliveries.begin(job.id, now=NOW + ATTEMPT_HOLD, last=False)
    before = stored(ports, job)
    with pytest.raises(LeaseLostError):
        ports.deliveries.record(job.id, stale.ended(OK, NOW, LATER, retry_seconds=None, message_id="m"))
    assert stored(ports, job) == before


def test_a_reopened_delivery_can_begin_at_once(ports: Ports) -> None:
    """Also one that was delivered, and one whose retry is not due yet."""
    for result, retry_seconds in ((OK, None), (REFUSED, 3600)):
        job = ended_job(ports)
        before = attempt(ports, job, result, retry_seconds=retry_seconds)
        ports.deliveries.reopen(job.id)
        reopened = replace(before, status=DeliveryStatus.PENDING)
        assert stored(ports, job) == reopened
        assert ports.deliveries.begin(job.id, now=LATER, last=False).delivery == reopened


def test_reopening_outlives_the_attempt_in_progress(ports: Ports) -> None:
    """The attempt's log is written, but the delivery stays pending: another attempt was requested."""
    job = ended_job(ports)
    begun = ports.deliveries.begin(job.id, now=NOW, last=False).delivery.begun(NOW)
    ports.deliveries.reopen(job.id)
    ports.deliveries.record(job.id, begun.ended(OK, NOW, LATER, retry_seconds=None, message_id="m"))
    after = stored(ports, job)
    assert (after.status, after.held_since, after.last_status_code) == (DeliveryStatus.PENDING, None, 200)
    ports.deliveries.begin(job.id, now=LATER, last=False)


def test_only_an_ended_job_with_a_callback_has_a_delivery(ports: Ports) -> None:
    """For any other job nothing begins and nothing is reopened."""
    without_callback = ended_job(ports, callback_url=None)
    queued = new_job(callback_url=URL)
    ports.jobs.create(queued)
    for job, found in ((without_callback, without_callback), (queued, queued), (new_job(), None)):
        with pytest.raises(DeliveryNotDueError) as caught:
            ports.deliveries.begin(job.id, now=LATER, last=False)
        assert caught.value.job == found
        with pytest.raises(StateConflictError):
            ports.deliveries.reopen(job.id)
