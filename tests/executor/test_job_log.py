from __future__ import annotations

from typing import TYPE_CHECKING

from executor.job_log import MAX_LINES, JobLog
from gateway.domain import instant
from tests.executor.stage import Stage, picture, sleeping, wait_until

if TYPE_CHECKING:
    from cli.comfyui_simulator.server import SimulatorServer


def messages(stage: Stage, job_id: str) -> list[str]:
    """Read what a job's log says."""
    return [line.message for line in stage.job(job_id).log]


def test_the_log_tells_the_way_of_a_job(stage: Stage, simulator: SimulatorServer) -> None:
    """Who took it, when ComfyUI had it, which node ran, what came of it."""
    with stage.executor(simulator.url, EXECUTOR_ID="gpu-1"):
        job_id = stage.accept(picture())
        stage.ended(job_id)
    log = stage.job(job_id).log
    assert [line.message for line in log if line.message != "In ComfyUI's queue."] == [
        "Taken by executor gpu-1, attempt 1.",
        "ComfyUI started the execution.",
        "Running node 1 (EmptyImage).",
        "Running node 2 (SaveImage).",
        "Stored 1 output.",
    ]
    assert [line.node for line in log if line.node] == ["1", "2"]
    assert [line.at for line in log] == sorted(line.at for line in log)


def test_the_log_can_be_read_while_a_job_runs(stage: Stage, simulator: SimulatorServer) -> None:
    """The lease's renewals bring it along."""
    with stage.executor(simulator.url):
        job_id = stage.accept(sleeping(4.0))
        wait_until(lambda: "Running node 3 (LabSleep)." in messages(stage, job_id), "the node in the log")
        assert not stage.job(job_id).status.ended
        stage.ended(job_id)


def test_the_log_keeps_what_earlier_attempts_did(stage: Stage, simulator: SimulatorServer) -> None:
    """A retry says why, and what the first attempt did stays readable."""
    simulator.faults.lose_prompts = 1
    with stage.executor(simulator.url, EXECUTOR_ID="gpu-1"):
        job_id = stage.accept(picture())
        stage.ended(job_id)
    said = messages(stage, job_id)
    assert said[0] == "Taken by executor gpu-1, attempt 1."
    assert any(line.startswith("COMFYUI_UNREACHABLE: ComfyUI lost the prompt") for line in said)
    assert "Taken by executor gpu-1, attempt 2." in said


def test_the_log_is_bounded() -> None:
    """However much happens, the first line and the latest are kept, each cut to a length."""
    log = JobLog((), instant.now)
    for number in range(3 * MAX_LINES):
        log.add(f"{number} " + "x" * 1000)
    assert len(log.lines) == MAX_LINES
    assert log.lines[0].message.startswith("0 ")
    assert log.lines[-1].message.startswith(f"{3 * MAX_LINES - 1} ")
    assert max(len(line.message) for line in log.lines) == 200
