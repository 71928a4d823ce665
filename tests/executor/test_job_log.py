from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from executor.comfyui import progress
from executor.comfyui.progress import PromptProgress
from executor.comfyui.websocket import ProgressSocket
from executor.job_log import JobLogWriter
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.template import render
from gateway.limits import MAX_LOG_LINES
from testing.clock import FakeClock
from tests.executor.stage import Stage, picture, sleeping, wait_until

if TYPE_CHECKING:
    from comfyui_simulator.server import SimulatorServer


BUNDLED = Path(__file__).parents[2] / "workflows"


def sampling(seed: int) -> dict[str, Any]:
    """Make the prompt of a bundled workflow."""
    values: dict[str, str | int | float | bool | None] = {"prompt": "a fox", "negative_prompt": "", "seed": seed}
    values |= {"width": 64, "height": 64, "batch_size": 1}
    values |= {"steps": 30, "cfg": 7.0, "sampler": "euler", "scheduler": "normal", "upscale": 1.0}
    values["checkpoint"] = "sd_xl_base_1.0.safetensors"
    return render(json.loads((BUNDLED / "icon_512.json").read_text()), values)


def messages(stage: Stage, job_id: str) -> list[str]:
    """Read what a job's log says."""
    return [line.message for line in stage.job(job_id).log]


def test_the_log_tells_the_way_of_a_job(stage: Stage, simulator: SimulatorServer) -> None:
    """Who took it, when ComfyUI had it, which node ran, what came of it."""
    with stage.executor(simulator.url, EXECUTOR_ID="gpu-1"):
        job_id = stage.accept(picture())
        stage.ended(job_id)
    log = stage.job(job_id).log
    assert [line.message for line in log] == [
        "Claimed by executor gpu-1, attempt 1.",
        "Submitting to ComfyUI.",
        "ComfyUI started the execution.",
        "Running node 1 (EmptyImage).",
        "Running node 2 (SaveImage).",
        "Stored 1 output, 0.0 MB.",
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
    assert said[0] == "Claimed by executor gpu-1, attempt 1."
    assert any(line.startswith("COMFYUI_UNREACHABLE: ComfyUI lost the prompt") for line in said)
    assert "Claimed by executor gpu-1, attempt 2." in said


def test_the_log_says_how_it_goes_on(stage: Stage, simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models being loaded, nodes by their titles, steps now and then, what comes from earlier runs."""
    monkeypatch.setattr(progress, "_MIN_SECONDS_BETWEEN_STEP_LINES", 0.0)
    with stage.executor(simulator.url):
        first, again = (stage.ended(stage.accept(sampling(seed))).id for seed in (1, 2))
    said = messages(stage, first)
    assert 'Loading a model: node 1 "Checkpoint" (CheckpointLoaderSimple).' in said
    sampler = 'node 5 "Sample" (KSampler).'
    assert f"Running {sampler}" in said
    steps = [line for line in said if line.startswith("Step ")]
    assert [line.partition(": ")[2] for line in steps] == [sampler] * 3
    assert [int(line.split()[1]) for line in steps] == [8, 15, 23]
    assert any(line.startswith("Reusing cached results of ") for line in messages(stage, again))


def test_a_private_log_has_no_titles(stage: Stage, simulator: SimulatorServer) -> None:
    """They can hold what the job was given."""
    prompt = picture()
    prompt["1"]["_meta"] = {"title": "a secret fox"}
    with stage.executor(simulator.url):
        said = messages(stage, stage.ended(stage.accept(prompt, private=True)).id)
    assert "Running node 1 (EmptyImage)." in said
    assert not [line for line in said if "fox" in line]


def test_steps_take_few_lines() -> None:
    """However many there are, each quarter has one, and those that go by quickly have none."""
    clock = FakeClock()
    log = JobLogWriter((), clock)
    heard = PromptProgress(picture(), {}, log, clock)
    for seconds, node_id in ((0.0001, "1"), (1.0, "2")):
        for step in range(1, 1001):
            clock.advance(seconds)
            heard.on_event("progress", {"node": node_id, "value": step, "max": 1000})
    assert [line.message for line in log.lines] == [
        "Step 250 of 1000: node 2 (SaveImage).",
        "Step 500 of 1000: node 2 (SaveImage).",
        "Step 750 of 1000: node 2 (SaveImage).",
    ]


@pytest.mark.parametrize(
    "said",
    [
        {"node": "1", "value": float("inf"), "max": 20},
        {"node": "1", "value": float("-inf"), "max": 20},
        {"node": "1", "value": float("nan"), "max": 20},
        {"node": "1", "value": 10**400, "max": 20},
        {"node": "1", "value": 1, "max": float("nan")},
        {"node": ["1"], "value": 1, "max": 2},
        {"node": "1", "value": "1", "max": None},
        {},
    ],
)
def test_strange_steps_do_no_harm(said: dict[str, Any]) -> None:
    """Custom nodes report what they like; the events after it are heard."""
    heard, events = (
        PromptProgress(picture(), {}, JobLogWriter((), SYSTEM_CLOCK), SYSTEM_CLOCK),
        ProgressSocket("http://127.0.0.1:1", 10, SYSTEM_CLOCK),
    )
    with events.subscribe("x", heard):
        for kind in ("progress", "progress_state", "execution_cached", "executing", "executed", "execution_success"):
            events._dispatch(json.dumps({"type": kind, "data": {**said, "prompt_id": "x"}}).encode())
    assert heard.changed.is_set()
    assert 0 <= heard.percent < 100


def test_a_canceled_job_says_what_became_of_its_prompt(stage: Stage, simulator: SimulatorServer) -> None:
    """The line before the end."""
    with stage.executor(simulator.url):
        job_id = stage.accept(sleeping(60.0, steps=600))
        wait_until(lambda: "Running node 3 (LabSleep)." in messages(stage, job_id), "the node in the log")
        stage.request_cancel(job_id)
        assert stage.ended(job_id).log[-1].message == "Cancel requested. The execution was stopped."


def test_the_log_is_bounded() -> None:
    """However much happens, the first line and the latest are kept, each cut to a length."""
    log = JobLogWriter((), SYSTEM_CLOCK)
    for number in range(3 * MAX_LOG_LINES):
        log.add(f"{number} " + "x" * 1000)
    assert len(log.lines) == MAX_LOG_LINES
    assert log.lines[0].message.startswith("0 ")
    assert log.lines[-1].message.startswith(f"{3 * MAX_LOG_LINES - 1} ")
    assert max(len(line.message) for line in log.lines) == 200
