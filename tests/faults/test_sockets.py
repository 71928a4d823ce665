"""ComfyUI's socket says nothing, or nonsense, or is gone, while HTTP works: it is for progress and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from executor.comfyui.websocket import ProgressSocket
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import JobStatus
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until
from tests.faults.stalled_client import stalled_client

if TYPE_CHECKING:
    from tests.faults.fault_environment import FaultEnvironment

# Shorter than the jobs: a socket that says nothing must not pass for a ComfyUI that does nothing.
STALL = {"COMFYUI_STALL_MS": "1500"}
JOB_SECONDS = 3.0


@pytest.mark.parametrize("fault", ["silent_sockets", "garbage_frames"])
def test_a_socket_that_is_of_no_use(env: FaultEnvironment, fault: str) -> None:
    """The job ends well at its first attempt, however long the socket says nothing, or nonsense."""
    setattr(env.simulator.faults, fault, True)
    with env.healthy_executor(**STALL):
        (job,) = env.check_ended(env.harness.submit(sleep_prompt(JOB_SECONDS)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_nonsense_does_not_hide_what_makes_sense(env: FaultEnvironment) -> None:
    """Custom nodes send what they like through the socket: the progress between it is heard."""
    env.simulator.faults.garbage_frames = True
    with env.healthy_executor():
        job_id = env.harness.submit(sleep_prompt(JOB_SECONDS))
        wait_until(lambda: 0 < (env.harness.job(job_id).progress or 0) < 100, "progress")
        env.check_ended(job_id)


def test_a_socket_that_falls_silent(env: FaultEnvironment) -> None:
    """The same when it has spoken of the job before."""
    with env.healthy_executor(**STALL):
        job_id = env.harness.submit(sleep_prompt(JOB_SECONDS))
        wait_until(lambda: env.harness.job(job_id).progress, "progress")
        env.simulator.faults.silent_sockets = True
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_a_socket_that_is_closed(env: FaultEnvironment) -> None:
    """The job that runs goes on without progress, for no event is sent twice; the next one's is heard again."""
    with env.healthy_executor(**STALL):
        first = env.harness.submit(sleep_prompt(JOB_SECONDS))
        wait_until(lambda: env.harness.job(first).progress, "progress")
        env.simulator.close_sockets()
        (job,) = env.check_ended(first)
        second = env.harness.submit(sleep_prompt(JOB_SECONDS))
        wait_until(lambda: 0 < (env.harness.job(second).progress or 0) < 100, "progress on a new socket")
        env.check_ended(second)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_each_connection_has_an_id_of_its_own(env: FaultEnvironment) -> None:
    """A second socket under the id of the first goes stalled when that one closes."""
    events = ProgressSocket(env.simulator.url, stall_seconds=10, clock=SYSTEM_CLOCK)
    events.start()
    try:
        assert events.wait_connected(5)
        first = events.client_id
        env.simulator.close_sockets()
        wait_until(lambda: events.client_id != first and events.wait_connected(0), "a new connection")
    finally:
        events.stop()


def test_no_socket_at_all(env: FaultEnvironment) -> None:
    """A proxy before ComfyUI that lets no WebSocket pass costs progress and a little time, but no job."""
    with env.healthy_executor(env.comfyui_proxy.url):
        (job,) = env.check_ended(env.harness.submit(image_prompt()))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_another_client_that_does_not_read(env: FaultEnvironment) -> None:
    """While one client stalls the events of all, jobs go on by HTTP."""
    with stalled_client(env.simulator.url), env.healthy_executor(**STALL):
        (job,) = env.check_ended(env.harness.submit(sleep_prompt(JOB_SECONDS)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
