"""The job log: what an executor writes to it, and its limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from executor.comfyui import progress
from executor.comfyui.progress import PromptProgress
from executor.comfyui.websocket import ProgressSocket
from executor.job_log import JobLogWriter
from gateway.domain.template import render
from gateway.limits import MAX_LOG_LINES
from testing.clock import FakeClock
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from comfyui_simulator.server import SimulatorServer
    from testing.executor_harness import InMemoryExecutorHarness

BUNDLED = Path(__file__).parents[2] / "workflows"
SLEEP_NODE = "node 3 (LabSleep)"


def bundled_prompt(seed: int) -> dict[str, Any]:
    """Render the prompt of a bundled workflow."""
    values: dict[str, str | int | float | bool | None] = {"prompt": "a fox", "negative_prompt": "", "seed": seed}
    values |= {"width": 64, "height": 64, "batch_size": 1}
    values |= {"steps": 30, "cfg": 7.0, "sampler": "euler", "scheduler": "normal", "upscale": 1.0}
    values["checkpoint"] = "sd_xl_base_1.0.safetensors"
    return render(json.loads((BUNDLED / "icon_512.json").read_text()), values)


def index_of(messages: list[str], *parts: str) -> int:
    """Return the index of the first message that contains all parts."""
    (index, *_) = [index for index, message in enumerate(messages) if all(part in message for part in parts)]
    return index


def test_the_log_has_the_steps_of_a_job(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """The executor and attempt, the nodes that ran, and the number of outputs, in order."""
    log = harness.run(simulator.url, image_prompt(), EXECUTOR_ID="gpu-1").log
    assert [line.node for line in log if line.node] == ["1", "2"]
    assert [line.at for line in log] == sorted(line.at for line in log)
    messages = [line.message for line in log]
    steps = [("gpu-1", "attempt 1"), ("node 1 (EmptyImage)",), ("node 2 (SaveImage)",), ("1 output", "KB")]
    indexes = [index_of(messages, *parts) for parts in steps]
    assert indexes == sorted(indexes)
    assert indexes[-1] == len(messages) - 1


def test_the_log_can_be_read_while_a_job_runs(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """Lease renewals store it."""
    with harness.run_executor(simulator.url):
        job_id = harness.submit(sleep_prompt(60.0, steps=600))
        wait_until(lambda: any(SLEEP_NODE in text for text in harness.log_messages(job_id)), "the node in the log")
        assert not harness.job(job_id).status.ended
        harness.request_cancel(job_id)
        assert "Cancel requested" in harness.wait_until_ended(job_id).log[-1].message


def test_the_log_keeps_earlier_attempts(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """A retry has its reason, and the lines of the first attempt stay."""
    simulator.faults.lose_prompts = 1
    job = harness.run(simulator.url, image_prompt(), EXECUTOR_ID="gpu-1")
    messages = harness.log_messages(job.id)
    steps = [("gpu-1", "attempt 1"), ("COMFYUI_UNREACHABLE", "lost the prompt"), ("gpu-1", "attempt 2")]
    indexes = [index_of(messages, *parts) for parts in steps]
    assert indexes == sorted(indexes)


def test_the_log_shows_progress(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models being loaded, nodes by title, some of the steps, and cached results."""
    monkeypatch.setattr(progress, "_MIN_SECONDS_BETWEEN_STEP_LINES", 0.0)
    first, second = (harness.log_messages(harness.run(simulator.url, bundled_prompt(seed)).id) for seed in (1, 2))
    assert index_of(first, "Loading a model", 'node 1 "Checkpoint" (CheckpointLoaderSimple)')
    sampler = 'node 5 "Sample" (KSampler)'
    assert index_of(first, "Running", sampler)
    steps = [line for line in first if line.startswith("Step ")]
    assert [int(line.split()[1]) for line in steps] == [8, 15, 23]
    assert all(sampler in line for line in steps)
    assert index_of(second, "cached results")


def test_a_private_log_has_no_titles(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """Titles can contain what the job was given."""
    prompt = image_prompt()
    prompt["1"]["_meta"] = {"title": "a secret fox"}
    messages = harness.log_messages(harness.run(simulator.url, prompt, private=True).id)
    assert index_of(messages, "node 1 (EmptyImage)")
    assert not [message for message in messages if "fox" in message]


def test_steps_take_few_lines() -> None:
    """Each quarter of the steps has one line, however many steps there are; fast steps have none."""
    clock = FakeClock()
    log = JobLogWriter((), clock)
    tracked = PromptProgress(image_prompt(), {}, log, clock)
    for seconds, node_id in ((0.0001, "1"), (1.0, "2")):
        for step in range(1, 1001):
            clock.advance(seconds)
            tracked.on_event("progress", {"node": node_id, "value": step, "max": 1000})
    assert [(line.node, line.message.split()[1]) for line in log.lines] == [("2", "250"), ("2", "500"), ("2", "750")]


@pytest.mark.parametrize(
    "data",
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
def test_malformed_events_are_ignored(data: dict[str, Any]) -> None:
    """Custom nodes send events of any format; the events after them are processed."""
    clock = FakeClock()
    tracked = PromptProgress(image_prompt(), {}, JobLogWriter((), clock), clock)
    socket = ProgressSocket("http://127.0.0.1:1", 10, clock)
    with socket.subscribe("x", tracked):
        for kind in ("progress", "progress_state", "execution_cached", "executing", "executed", "execution_success"):
            socket._dispatch(json.dumps({"type": kind, "data": {**data, "prompt_id": "x"}}).encode())
    assert tracked.changed.is_set()
    assert 0 <= tracked.percent < 100


def test_the_log_is_limited() -> None:
    """The first line and the latest ones are kept, each truncated."""
    log = JobLogWriter((), FakeClock())
    for number in range(3 * MAX_LOG_LINES):
        log.add(f"{number} " + "x" * 1000)
    assert len(log.lines) == MAX_LOG_LINES
    assert log.lines[0].message.startswith("0 ")
    assert log.lines[-1].message.startswith(f"{3 * MAX_LOG_LINES - 1} ")
    assert max(len(line.message) for line in log.lines) == 200
