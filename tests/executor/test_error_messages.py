"""Errors of jobs whose graph ComfyUI rejects, or whose node fails."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from comfyui_simulator.server import SimulatorServer
from testing.prompts import image_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.domain.job import JobFailure
    from testing.executor_harness import InMemoryExecutorHarness

INSTALLED = "sd_xl_base_1.0.safetensors"
REQUESTED = "sdxl_base.safetensors"


@pytest.fixture
def with_many_checkpoints(simulator: SimulatorServer) -> Iterator[SimulatorServer]:
    """Run a ComfyUI with so many checkpoints that it leaves them out of its rejections."""
    checkpoints = (*simulator.settings.checkpoints, *(f"other_{number}.ckpt" for number in range(30)))
    with SimulatorServer(replace(simulator.settings, checkpoints=checkpoints)) as server:
        yield server


def checkpoint_prompt(checkpoint: str) -> dict[str, Any]:
    """Make a prompt that decodes with a checkpoint's VAE."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "3": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 2]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
    }


def rejection_of(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer, prompt: dict[str, Any], *, private: bool = False
) -> str:
    """Run a job whose graph is rejected; return the message of its error."""
    job = harness.run(simulator.url, prompt, private=private)
    assert job.error is not None
    assert (job.error.code, job.attempt) == ("COMFYUI_REJECTED", 1)
    return job.error.message


def test_a_similar_checkpoint_is_suggested(
    harness: InMemoryExecutorHarness, with_many_checkpoints: SimulatorServer
) -> None:
    """From the list that ComfyUI has at /object_info."""
    message = rejection_of(harness, with_many_checkpoints, checkpoint_prompt(REQUESTED))
    assert "node 1 (CheckpointLoaderSimple): ckpt_name is" in message
    assert INSTALLED in message


@pytest.mark.parametrize("status", [500, 200, None])
def test_a_rejection_does_not_depend_on_suggestions(
    harness: InMemoryExecutorHarness,
    with_many_checkpoints: SimulatorServer,
    status: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When /object_info fails or never responds, the job is rejected all the same, without a suggestion."""
    monkeypatch.setattr("executor.comfyui.errors.rejected._MAX_OBJECT_INFO_SECONDS", 0.5)
    with_many_checkpoints.faults.fail_requests("/object_info", status, times=9)
    message = rejection_of(harness, with_many_checkpoints, checkpoint_prompt(REQUESTED))
    assert REQUESTED in message
    assert INSTALLED not in message


def test_a_private_rejection_has_no_suggestions(
    harness: InMemoryExecutorHarness, with_many_checkpoints: SimulatorServer
) -> None:
    """A name that is similar to a value reveals it."""
    message = rejection_of(harness, with_many_checkpoints, checkpoint_prompt(REQUESTED), private=True)
    assert "node 1 (CheckpointLoaderSimple): Value not in list (ckpt_name)" in message
    assert REQUESTED not in message
    assert INSTALLED not in message


def test_a_graph_that_would_run_in_part_is_rejected(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer
) -> None:
    """ComfyUI responds with 200, and would leave outputs out."""
    prompt = image_prompt()
    prompt["5"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}, "_meta": {"title": "Second"}}
    message = rejection_of(harness, simulator, prompt)
    assert 'node 5 "Second" (SaveImage): the input images is missing' in message


def failure_of(harness: InMemoryExecutorHarness, simulator: SimulatorServer, *, private: bool) -> JobFailure:
    """Run a job whose titled node fails, with a path and a URL in its message; return the job's error."""
    prompt = image_prompt()
    prompt["3"] = {
        "class_type": "LabRaise",
        "inputs": {"image": ["1", 0], "kind": "ValueError", "message": "no '/opt/my models/x' at http://10.0.0.7/"},
        "_meta": {"title": "Color the fox"},
    }
    prompt["2"]["inputs"]["images"] = ["3", 0]
    error = harness.run(simulator.url, prompt, private=private).error
    assert error is not None
    return error


def test_the_error_of_a_node_has_its_title(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """As it is in ComfyUI's editor. Paths and addresses of the host are removed."""
    message = failure_of(harness, simulator, private=False).message
    assert 'ode 3 "Color the fox" (LabRaise)' in message
    assert message.endswith("ValueError: no '…' at …")


def test_the_error_of_a_private_job_has_no_title(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """A title can contain what the job was given."""
    assert "fox" not in str(failure_of(harness, simulator, private=True))
