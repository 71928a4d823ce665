"""The port JobStore: every write is conditional, and a write whose condition does not hold changes nothing."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.domain.job import Job, JobEnd, JobFailure, JobStatus, LogLevel, LogLine, Priority
from gateway.domain.job_errors import JobNotClaimableError
from gateway.errors import LeaseLostError, StateConflictError
from tests.component.samples import LATER, NOW, OUTPUT, SOON, SUCCESS, new_job, run_concurrently

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.ports import JobStore
    from tests.ports.conftest import Ports


@pytest.fixture
def jobs(ports: Ports) -> JobStore:
    """Return the job store."""
    return ports.jobs


def claim(jobs: JobStore, job: Job) -> Job:
    """Claim a job for half a minute."""
    return jobs.claim(job.id, executor_id="e-1", now=NOW, lease_until=SOON)


def test_a_job_is_read_as_it_was_created(jobs: JobStore) -> None:
    """Every field survives: floats, nulls, large integers, nested metadata and all alphabets."""
    job = new_job(
        owner="Ада:🦊",
        priority=Priority.LOW,
        inputs={
            "cfg": 7.1,
            "tiny": 1e-7,
            "huge": 1e300,
            "seed": 2**64 - 1,
            "none": None,
            "yes": True,
            "text": "ü\x00🦊",
        },
        params={"denoise": 1.0},
        seed=2**64 - 1,
        metadata={"requestId": "r", "nested": {"list": [1, 2.5, None, "é"]}},
        request_hash="h",
    )
    assert jobs.create(job) is job
    assert jobs.get(job.id) == job


def test_there_is_no_job_that_was_not_created(jobs: JobStore) -> None:
    """An unknown id reads as None."""
    assert jobs.get(str(uuid.uuid4())) is None


def test_the_first_creation_stands(jobs: JobStore) -> None:
    """Creating a second job with the same id changes nothing and returns the first."""
    first = new_job()
    jobs.create(first)
    assert jobs.create(replace(first, owner="bob", inputs={})) == first
    assert jobs.get(first.id) == first


def test_a_race_to_create_stores_one_job(jobs: JobStore) -> None:
    """Sixteen threads create the same id at once: one job is stored and returned to all."""
    job = new_job()
    created = run_concurrently(16, lambda number: jobs.create(replace(job, owner=f"o{number}")))
    assert len({each.owner for each in created}) == 1
    assert jobs.get(job.id) == created[0]


def test_a_claim_starts_an_attempt(jobs: JobStore) -> None:
    """A claim returns the whole job: running, leased, started, its attempt counted."""
    job = new_job(inputs={"cfg": 7.5})
    jobs.create(job)
    claimed = claim(jobs, job)
    assert claimed == replace(
        job, status=JobStatus.RUNNING, attempt=1, lease_owner="e-1", lease_expires_at=SOON, started_at=NOW
    )
    assert jobs.get(job.id) == claimed


def test_a_race_for_a_job_has_one_winner_each_time(jobs: JobStore) -> None:
    """Of sixteen claims at once exactly one succeeds, round after round; attempts count up by one."""
    job = new_job()
    jobs.create(job)

    def try_to_claim(number: int) -> tuple[bool, Job | None]:
        try:
            return True, jobs.claim(job.id, executor_id=f"e-{number}", now=NOW, lease_until=SOON)
        except JobNotClaimableError as error:
            return False, error.job

    for attempt in (1, 2, 3):
        tries = run_concurrently(16, try_to_claim)
        (winner,) = [claimed for won, claimed in tries if won and claimed]
        assert winner.attempt == attempt
        assert [standing for _, standing in tries] == [winner] * 16
        assert jobs.get(job.id) == winner
        jobs.release(winner)


def test_a_live_lease_keeps_others_out(jobs: JobStore) -> None:
    """A running job can be claimed from the moment its lease expires, not before."""
    job = new_job()
    jobs.create(job)
    first = claim(jobs, job)
    with pytest.raises(JobNotClaimableError) as caught:
        jobs.claim(job.id, executor_id="e-2", now=SOON - timedelta(milliseconds=1), lease_until=LATER)
    assert caught.value.job == first
    second = jobs.claim(job.id, executor_id="e-2", now=SOON, lease_until=LATER)
    assert (second.attempt, second.lease_owner, second.started_at) == (2, "e-2", first.started_at)


def test_a_new_attempt_starts_without_progress(jobs: JobStore) -> None:
    """The progress of the last attempt is not carried over to the next."""
    job = new_job()
    jobs.create(job)
    jobs.release(jobs.renew(claim(jobs, job), lease_until=SOON, progress=40))
    assert claim(jobs, job).progress is None


def test_a_job_that_does_not_exist_cannot_be_claimed(jobs: JobStore) -> None:
    """Claiming an unknown id fails and creates nothing."""
    job = new_job()
    with pytest.raises(JobNotClaimableError) as caught:
        claim(jobs, job)
    assert caught.value.job is None
    assert jobs.get(job.id) is None


def test_renewing_extends_the_lease_and_stores_progress(jobs: JobStore) -> None:
    """Renewing moves the lease and stores the progress; None leaves the progress as it is."""
    job = new_job()
    jobs.create(job)
    claimed = claim(jobs, job)
    renewed = jobs.renew(claimed, lease_until=LATER, progress=0)
    assert renewed == replace(claimed, lease_expires_at=LATER, progress=0)
    assert jobs.renew(claimed, lease_until=LATER, progress=None) == renewed
    assert jobs.get(job.id) == renewed


def test_success_is_one_write(jobs: JobStore) -> None:
    """Outputs, times and full progress are written at once, and the lease is removed."""
    job = new_job()
    jobs.create(job)
    claimed = claim(jobs, job)
    ended = jobs.finish(claimed, SUCCESS)
    assert ended == replace(
        claimed,
        status=JobStatus.SUCCEEDED,
        completed_at=LATER,
        execution_ms=1234,
        outputs=(OUTPUT,),
        progress=100,
        lease_owner=None,
        lease_expires_at=None,
    )
    assert jobs.get(job.id) == ended


def test_failure_keeps_its_reason(jobs: JobStore) -> None:
    """The error is read as it was written, and there are no outputs."""
    job = new_job()
    jobs.create(job)
    failure = JobFailure(code="COMFYUI_OOM", message="Zu wenig Speicher", retryable=False, recommendation="lower width")
    jobs.finish(claim(jobs, job), JobEnd(status=JobStatus.FAILED, completed_at=LATER, error=failure))
    ended = jobs.get(job.id)
    assert ended is not None
    assert (ended.status, ended.error, ended.outputs, ended.progress) == (JobStatus.FAILED, failure, None, None)


WRITES: dict[str, Callable[[JobStore, Job], object]] = {
    "renew": lambda jobs, job: jobs.renew(job, lease_until=LATER, progress=99),
    "release": lambda jobs, job: jobs.release(job),
    "finish": lambda jobs, job: jobs.finish(job, SUCCESS),
    "fail": lambda jobs, job: jobs.finish(job, JobEnd(status=JobStatus.FAILED, completed_at=LATER)),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_stale_attempt_can_write_nothing(jobs: JobStore, write: str) -> None:
    """Once another attempt holds the job, every write of the old attempt fails and changes nothing."""
    job = new_job()
    jobs.create(job)
    stale = claim(jobs, job)
    jobs.release(stale)
    current = claim(jobs, job)
    with pytest.raises(LeaseLostError):
        WRITES[write](jobs, stale)
    assert jobs.get(job.id) == current


@pytest.mark.parametrize("write", WRITES)
def test_an_ended_job_never_changes(jobs: JobStore, write: str) -> None:
    """The attempt that ended it cannot write again, and the job can be neither claimed nor replaced."""
    job = new_job()
    jobs.create(job)
    claimed = claim(jobs, job)
    ended = jobs.finish(claimed, SUCCESS)
    with pytest.raises(LeaseLostError):
        WRITES[write](jobs, claimed)
    with pytest.raises(JobNotClaimableError) as caught:
        jobs.claim(job.id, executor_id="e-2", now=LATER + timedelta(days=1), lease_until=LATER + timedelta(days=2))
    assert caught.value.job == ended
    assert jobs.create(job) == ended
    assert jobs.get(job.id) == ended


@pytest.mark.parametrize("write", WRITES)
def test_an_unclaimed_job_takes_no_write_of_an_attempt(jobs: JobStore, write: str) -> None:
    """Writes to a queued job, and to one that does not exist, fail and change nothing."""
    queued = new_job()
    jobs.create(queued)
    with pytest.raises(LeaseLostError):
        WRITES[write](jobs, queued)
    assert jobs.get(queued.id) == queued
    missing = new_job()
    with pytest.raises(LeaseLostError):
        WRITES[write](jobs, missing)
    assert jobs.get(missing.id) is None


def test_a_race_to_finish_has_one_end(jobs: JobStore) -> None:
    """Sixteen threads finish one attempt at once: one end is written."""
    job = new_job()
    jobs.create(job)
    claimed = claim(jobs, job)

    def try_to_finish(number: int) -> Job | None:
        try:
            return jobs.finish(claimed, replace(SUCCESS, execution_ms=number))
        except LeaseLostError:
            return None

    (winner,) = [ended for ended in run_concurrently(16, try_to_finish) if ended]
    assert jobs.get(job.id) == winner


LOST = JobFailure(code="EXECUTOR_LOST", message="lost", retryable=True, recommendation="again")


def test_a_job_without_a_lease_can_be_failed_from_outside(jobs: JobStore) -> None:
    """A queued job and one whose lease had expired can be failed; the progress stays readable."""
    queued, running = new_job(), new_job()
    jobs.create(queued)
    jobs.create(running)
    claimed = jobs.renew(claim(jobs, running), lease_until=SOON, progress=40)
    ends = [jobs.fail_if_unleased(job.id, LOST, now=LATER, leases_expired_before=SOON) for job in (queued, claimed)]
    assert ends == [
        replace(job, status=JobStatus.FAILED, completed_at=LATER, error=LOST, lease_owner=None, lease_expires_at=None)
        for job in (queued, claimed)
    ]
    assert [jobs.get(job.id) for job in ends] == ends


def test_a_leased_or_ended_job_cannot_be_failed_from_outside(jobs: JobStore) -> None:
    """Failing a leased, ended or missing job changes nothing and returns the stored job with the error."""
    held, ended, missing = new_job(), new_job(), new_job()
    jobs.create(held)
    jobs.create(ended)
    stored = [claim(jobs, held), jobs.finish(claim(jobs, ended), SUCCESS), None]
    for job, standing in zip((held, ended, missing), stored, strict=True):
        with pytest.raises(JobNotClaimableError) as caught:
            jobs.fail_if_unleased(job.id, LOST, now=LATER, leases_expired_before=SOON - timedelta(milliseconds=1))
        assert caught.value.job == standing
        assert jobs.get(job.id) == standing


def test_a_race_between_executors_and_an_end_from_outside_has_one_winner(jobs: JobStore) -> None:
    """Eight claims and eight failures at once: exactly one of them succeeds."""
    for _ in range(3):
        job = new_job()
        jobs.create(job)

        def act(number: int, job: Job = job) -> Job | None:
            try:
                if number % 2:
                    return claim(jobs, job)
                return jobs.fail_if_unleased(job.id, LOST, now=NOW, leases_expired_before=NOW)
            except JobNotClaimableError:
                return None

        (winner,) = [done for done in run_concurrently(16, act) if done]
        assert jobs.get(job.id) == winner


def test_canceling_a_job_without_a_lease_ends_it(jobs: JobStore) -> None:
    """A queued job, and a running one whose lease has expired, are canceled at once and lose their lease."""
    queued, running = new_job(), new_job()
    jobs.create(queued)
    jobs.create(running)
    claimed = claim(jobs, running)
    for job in (queued, claimed):
        canceled = jobs.cancel(job.id, now=SOON)
        assert canceled == replace(
            job, status=JobStatus.CANCELED, completed_at=SOON, lease_owner=None, lease_expires_at=None
        )
        assert jobs.get(job.id) == canceled


def test_canceling_a_leased_job_asks_its_attempt(jobs: JobStore) -> None:
    """The job keeps running; the next renewal returns that a cancel was requested."""
    job = new_job()
    jobs.create(job)
    claimed = claim(jobs, job)
    assert jobs.cancel(job.id, now=NOW) == replace(claimed, cancel_requested=True)
    assert jobs.renew(claimed, lease_until=LATER, progress=None).cancel_requested


def test_an_ended_job_cannot_be_canceled(jobs: JobStore) -> None:
    """Canceling it, or a job that does not exist, is a conflict and changes nothing."""
    job = new_job()
    jobs.create(job)
    ended = jobs.finish(claim(jobs, job), SUCCESS)
    for job_id in (job.id, str(uuid.uuid4())):
        with pytest.raises(StateConflictError):
            jobs.cancel(job_id, now=LATER)
    assert jobs.get(job.id) == ended


def test_a_released_attempt_can_be_left_uncounted(jobs: JobStore) -> None:
    """A release without counting lowers the counted attempts, never the attempt number; the log is kept."""
    job = new_job()
    jobs.create(job)
    line = LogLine(at=NOW, level=LogLevel.WARNING, message="executor stops", node="3")
    jobs.release(claim(jobs, job), [line], count_attempt=False)
    jobs.release(claim(jobs, job))
    stored = jobs.get(job.id)
    assert stored is not None
    assert (stored.attempt, stored.counted_attempts, stored.log) == (2, 1, (line,))
