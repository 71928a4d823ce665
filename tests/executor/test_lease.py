"""The lease of a job, on in-memory ports and with a fake clock."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from executor.comfyui.progress import PromptProgress
from executor.job.lease import Lease
from executor.job_log import JobLogWriter
from gateway.domain.job import Job, JobEnd, JobStatus, Priority
from gateway.domain.messages import JobMessage
from testing.ports import InMemoryPorts
from testing.prompts import image_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from gateway.ports import ReceivedJob

LEASE_SECONDS = 30


class HeldJob:
    """A job that an executor has received and claimed."""

    def __init__(self) -> None:
        self.ports = InMemoryPorts()
        self.clock = self.ports.clock
        now = self.clock.now()
        created = self.ports.jobs.create(
            Job(
                id="job-1",
                owner="ada",
                workflow_id="test",
                workflow_version=1,
                template_key="workflows/test/1.json",
                inputs={},
                correlation_id="c",
                created_at=now,
            )
        )
        message = JobMessage(job_id=created.id, priority=Priority.NORMAL, correlation_id="c", prompt={"1": {}})
        self.ports.queue.send(message, group="ada")
        received = self.ports.queue.receive(Priority.NORMAL, wait_seconds=0)
        assert received is not None
        self.received: ReceivedJob = received
        lease_until = now + timedelta(seconds=LEASE_SECONDS)
        self.job = self.ports.jobs.claim(created.id, executor_id="gpu-1", now=now, lease_until=lease_until)
        self.log = JobLogWriter((), self.clock)
        self.progress = PromptProgress(image_prompt(), {}, self.log, self.clock)

    def lease(self) -> Lease:
        """Return the job's lease."""
        lease = Lease(
            job=self.job,
            received=self.received,
            jobs=self.ports.jobs,
            queue=self.ports.queue,
            log=self.log,
            seconds=LEASE_SECONDS,
            clock=self.clock,
        )
        lease.progress = self.progress
        return lease

    def stored(self) -> Job:
        """Return the job as it is stored."""
        job = self.ports.jobs.get(self.job.id)
        assert job is not None
        return job


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> HeldJob:
    """Return a job that is held, with a lease that is renewed every few milliseconds."""
    monkeypatch.setattr("executor.job.lease.RENEW_SECONDS", 0.01)
    return HeldJob()


def test_a_renewal_carries_progress_and_log(held: HeldJob) -> None:
    """It also moves the expiry of the lease."""
    with held.lease() as lease:
        held.clock.sleep(10)
        held.log.add("running")
        held.progress.on_event("executed", {"node": "1"})
        wait_until(lambda: held.stored().progress == 50, "the stored progress")
        assert not lease.lost
    assert [line.message for line in held.stored().log] == ["running"]
    assert held.stored().lease_expires_at == held.clock.now() + timedelta(seconds=LEASE_SECONDS)


def test_the_message_stays_invisible_while_the_lease_is_held(held: HeldJob) -> None:
    """Its visibility timeout is extended, far beyond one lease."""
    (message,) = held.ports.queue.queues[Priority.NORMAL].messages
    with held.lease():
        for _ in range(10):
            held.clock.sleep(LEASE_SECONDS / 2)
            renewed_until = held.clock.now() + timedelta(seconds=LEASE_SECONDS)
            wait_until(lambda until=renewed_until: held.stored().lease_expires_at == until, "a renewal")  # type: ignore[misc]
            wait_until(lambda: message.visible_at > held.clock.monotonic() + 1, "an extended visibility timeout")


def test_a_cancel_request_is_noticed(held: HeldJob) -> None:
    """The response to a renewal has it, and `changed` wakes the thread that waits for the prompt."""
    with held.lease() as lease:
        held.ports.jobs.cancel(held.job.id, now=held.clock.now())
        assert held.progress.changed.wait(10)
        assert lease.cancel_requested
        assert not lease.lost


def test_a_lease_is_lost_when_another_attempt_holds_the_job(held: HeldJob) -> None:
    """The next renewal notices it."""
    held.ports.jobs.release(held.job)
    held.ports.jobs.claim(
        held.job.id, executor_id="gpu-2", now=held.clock.now(), lease_until=held.clock.now() + timedelta(minutes=1)
    )
    with held.lease() as lease:
        assert held.progress.changed.wait(10)
        assert lease.lost


def test_a_lease_is_lost_before_others_may_claim_the_job(held: HeldJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no renewal succeeds, the holder stops after nine tenths of the lease."""
    monkeypatch.setattr(held.ports.jobs, "renew", lambda *_, **__: 1 / 0)
    with held.lease() as lease:
        held.clock.sleep(0.89 * LEASE_SECONDS)
        assert not lease.lost
        held.clock.sleep(0.02 * LEASE_SECONDS)
        assert lease.lost
        assert held.progress.changed.wait(10)
        expires_at = held.stored().lease_expires_at
        assert expires_at is not None
        assert held.clock.now() < expires_at


def test_nothing_is_renewed_after_the_block(held: HeldJob) -> None:
    """A renewal after the terminal write would fail, and after a release it would take the job back."""
    with held.lease():
        pass
    end = JobEnd(status=JobStatus.CANCELED, completed_at=held.clock.now())
    ended = held.ports.jobs.finish(held.job, end)
    held.clock.sleep(10)
    assert held.stored() == ended
