"""What a job's owner is told when ComfyUI refuses its graph, or a node of it fails."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from comfyui_simulator.server import SimulatorServer
from tests.executor.stage import Stage, picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.domain.job import Job

LOADED = "sd_xl_base_1.0.safetensors"


@pytest.fixture
def well_stocked(simulator: SimulatorServer) -> Iterator[SimulatorServer]:
    """Give a ComfyUI with so many checkpoints that it leaves them out of its refusals."""
    checkpoints = (*simulator.settings.checkpoints, *(f"other_{number}.ckpt" for number in range(30)))
    with SimulatorServer(replace(simulator.settings, checkpoints=checkpoints)) as server:
        yield server


def loading(checkpoint: str) -> dict[str, Any]:
    """Make a prompt that decodes with a checkpoint's VAE."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "3": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 2]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
    }


def refused(stage: Stage, simulator: SimulatorServer, prompt: dict[str, Any], *, private: bool = False) -> str:
    """Run a job whose graph is refused; return what its error says."""
    with stage.executor(simulator.url):
        job = stage.ended(stage.accept(prompt, private=private))
    assert job.error is not None
    assert (job.error.code, job.attempt) == ("COMFYUI_REJECTED", 1)
    return job.error.message


def test_a_missing_checkpoint_names_the_nearest(stage: Stage, well_stocked: SimulatorServer) -> None:
    """ComfyUI is asked for those that it has."""
    message = refused(stage, well_stocked, loading("sdxl_base.safetensors"))
    assert "node 1 (CheckpointLoaderSimple): ckpt_name is" in message
    assert f"similar allowed values: {LOADED}" in message


@pytest.mark.parametrize("status", [500, 200, None])
def test_a_refusal_does_not_hang_on_what_there_is(
    stage: Stage, well_stocked: SimulatorServer, status: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When ComfyUI does not say, or never answers, the job is refused all the same, without a guess."""
    monkeypatch.setattr("executor.comfyui.errors.rejected._MAX_OBJECT_INFO_SECONDS", 0.5)
    well_stocked.faults.fail_requests("/object_info", status, times=9)
    message = refused(stage, well_stocked, loading("sdxl_base.safetensors"))
    assert message.endswith('ckpt_name is "sdxl_base.safetensors", which is not an allowed value.')


def test_a_private_refusal_asks_for_nothing(stage: Stage, well_stocked: SimulatorServer) -> None:
    """What is near to a name tells of the name."""
    message = refused(stage, well_stocked, loading("sdxl_base.safetensors"), private=True)
    assert message == (
        "ComfyUI rejected the graph: node 1 (CheckpointLoaderSimple): Value not in list (ckpt_name). "
        "Details are withheld in privacy mode."
    )


def test_a_graph_that_would_run_in_part_is_refused(stage: Stage, simulator: SimulatorServer) -> None:
    """ComfyUI answers 200 and would leave outputs out."""
    prompt = picture()
    prompt["5"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}, "_meta": {"title": "Second"}}
    message = refused(stage, simulator, prompt)
    assert message == 'ComfyUI rejected the graph: node 5 "Second" (SaveImage): the input images is missing.'


def failing(stage: Stage, simulator: SimulatorServer, *, private: bool) -> Job:
    """Run a job whose titled node fails with words of the host."""
    prompt = picture()
    prompt["3"] = {
        "class_type": "LabRaise",
        "inputs": {"image": ["1", 0], "kind": "ValueError", "message": "no '/opt/my models/x' at http://10.0.0.7/"},
        "_meta": {"title": "Colour the fox"},
    }
    prompt["2"]["inputs"]["images"] = ["3", 0]
    with stage.executor(simulator.url):
        return stage.ended(stage.accept(prompt, private=private))


def test_a_failing_node_has_its_title(stage: Stage, simulator: SimulatorServer) -> None:
    """As its author knows it on ComfyUI's page; of the host nothing is told."""
    error = failing(stage, simulator, private=False).error
    assert error is not None
    assert error.message == "Node 3 \"Colour the fox\" (LabRaise) failed with ValueError: no '…' at …"


def test_a_private_job_has_no_titles(stage: Stage, simulator: SimulatorServer) -> None:
    """A title can hold what the job was given."""
    assert "fox" not in str(failing(stage, simulator, private=True))
