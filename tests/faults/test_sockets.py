"""ComfyUI's WebSocket is silent, sends garbage, or is gone, while HTTP works."""

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
    from tests.faults.fault_environment import ComfyUIFaultEnvironment

# Shorter than the jobs: a silent socket must not be mistaken for a ComfyUI that hangs.
STALL = {"COMFYUI_STALL_MS": "1000"}
JOB_SECONDS = 2.0


@pytest.mark.parametrize("fault", ["silent_sockets", "garbage_frames"])
def test_a_useless_socket_costs_no_attempt(comfyui_env: ComfyUIFaultEnvironment, fault: str) -> None:
    """The job succeeds at its first attempt, however long the socket is silent or sends garbage."""
    setattr(comfyui_env.simulator.faults, fault, True)
    with comfyui_env.run_executor(**STALL):
        (job,) = comfyui_env.check_ended(comfyui_env.harness.submit(sleep_prompt(JOB_SECONDS)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_progress_is_read_between_garbage(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """Custom nodes send messages of any format through the socket."""
    comfyui_env.simulator.faults.garbage_frames = True
    with comfyui_env.run_executor():
        job_id = comfyui_env.harness.submit(sleep_prompt(JOB_SECONDS))
        wait_until(lambda: 0 < (comfyui_env.harness.job(job_id).progress or 0) < 100, "progress")
        comfyui_env.check_ended(job_id)


def test_a_socket_that_becomes_silent_costs_no_attempt(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """Also when it had events of the job before."""
    with comfyui_env.run_executor(**STALL):
        job_id = comfyui_env.harness.submit(sleep_prompt(JOB_SECONDS))
        wait_until(lambda: comfyui_env.harness.job(job_id).progress, "progress")
        comfyui_env.simulator.faults.silent_sockets = True
        (job,) = comfyui_env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_a_closed_socket_is_reconnected(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """The running job continues without progress, as no event is sent twice; the next job has progress again."""
    with comfyui_env.run_executor(**STALL):
        first = comfyui_env.harness.submit(sleep_prompt(JOB_SECONDS))
        wait_until(lambda: comfyui_env.harness.job(first).progress, "progress")
        comfyui_env.simulator.close_sockets()
        (job,) = comfyui_env.check_ended(first)
        second = comfyui_env.harness.submit(sleep_prompt(JOB_SECONDS))
        wait_until(lambda: 0 < (comfyui_env.harness.job(second).progress or 0) < 100, "progress on the new socket")
        comfyui_env.check_ended(second)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_each_connection_has_its_own_id(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """A second socket with the id of the first one gets no events after the first one closes."""
    socket = ProgressSocket(comfyui_env.simulator.url, stall_seconds=10, clock=SYSTEM_CLOCK)
    socket.start()
    try:
        assert socket.wait_connected(10)
        first = socket.client_id
        comfyui_env.simulator.close_sockets()
        wait_until(lambda: socket.client_id != first and socket.wait_connected(0), "a new connection")
    finally:
        socket.stop()


def test_a_missing_websocket_costs_no_attempt(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """As behind a proxy without WebSocket support: only progress is missing."""
    with comfyui_env.run_executor(comfyui_env.comfyui_proxy.url):
        (job,) = comfyui_env.check_ended(comfyui_env.harness.submit(image_prompt()))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_another_client_that_does_not_read_costs_no_attempt(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """While one client stalls the events of all, jobs continue by HTTP."""
    with stalled_client(comfyui_env.simulator.url), comfyui_env.run_executor(**STALL):
        (job,) = comfyui_env.check_ended(comfyui_env.harness.submit(sleep_prompt(JOB_SECONDS)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
