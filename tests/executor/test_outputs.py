from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from executor.job.outputs import reported_files
from gateway.domain.job import JobStatus
from tests.executor.stage import Stage, picture

if TYPE_CHECKING:
    from comfyui_simulator.server import SimulatorServer


def reporting(ui: str) -> dict[str, Any]:
    """Make a prompt with a node that reports whatever JSON it is told to."""
    return {**picture(), "3": {"class_type": "LabUI", "inputs": {"json": ui, "image": ["1", 0]}}}


def test_files_within_batches_are_found() -> None:
    """Some nodes report a list for each picture of a batch."""
    first, second = ({"filename": f"{name}.png", "subfolder": "", "type": "output"} for name in "ab")
    assert [file.filename for file in reported_files({"9": {"images": [[first], second]}})] == ["a.png", "b.png"]


def test_text_is_an_output(stage: Stage, simulator: SimulatorServer) -> None:
    """What nodes report as text becomes a file, also where it is no proper Unicode."""
    with stage.executor(simulator.url):
        job = stage.ended(stage.accept(reporting('{"text": ["hello", "a\\ud800b"]}')))
    assert job.status is JobStatus.SUCCEEDED, job.error
    texts = [output for output in job.outputs or () if output.content_type == "text/plain"]
    assert [stage.objects.get(output.key) for output in texts] == [b"hello", b"a?b"]


def test_too_many_outputs_are_one_clear_end(stage: Stage, simulator: SimulatorServer) -> None:
    """More than a record can name fails at once, before anything is stored, and says what to do."""
    texts = ", ".join(f'"{number}"' for number in range(4000))
    with stage.executor(simulator.url):
        job = stage.ended(stage.accept(reporting(f'{{"text": [{texts}]}}')))
    assert job.error is not None
    assert (job.error.code, job.error.retryable, job.attempt) == ("OUTPUT_ERROR", False, 1)
    assert "4001 outputs" in job.error.message
    assert "batch_size" in (job.error.recommendation or "")


@pytest.mark.parametrize("filename", ["../../etc/passwd", "a\\nb.png", "a\\ud800.png"])
def test_what_comfyui_does_not_hand_out_is_one_clear_end(
    stage: Stage, simulator: SimulatorServer, filename: str
) -> None:
    """A reported file that can never be had fails the job at once; its path is not repeated."""
    ui = f'{{"images": [{{"filename": "{filename}", "subfolder": "", "type": "output"}}]}}'
    with stage.executor(simulator.url):
        job = stage.ended(stage.accept(reporting(ui)))
    assert job.error is not None
    assert (job.error.code, job.error.retryable, job.attempt) == ("OUTPUT_ERROR", False, 1)
    assert "etc/" not in job.error.message


def test_a_prefix_makes_no_unsendable_name(stage: Stage, simulator: SimulatorServer) -> None:
    """Control characters in a file name prefix, perhaps from an input, are left out."""
    with stage.executor(simulator.url):
        job = stage.ended(stage.accept(picture(prefix="a\nb\x7fc")))
    assert [output.filename for output in job.outputs or ()] == ["abc_00001_.png"]


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, ["TABLE_NAME", "BUCKET_NAME", "EVENT_BUS_NAME", "HIGH_QUEUE_URL"]),
        (
            dict.fromkeys(
                ("TABLE_NAME", "BUCKET_NAME", "EVENT_BUS_NAME", "HIGH_QUEUE_URL", "NORMAL_QUEUE_URL", "LOW_QUEUE_URL"),
                "x",
            ),
            ["AWS_REGION"],
        ),
    ],
)
def test_an_executor_without_settings_says_which_are_missing(environment: dict[str, str], names: list[str]) -> None:
    """One line on standard error, and exit code 1."""
    ended = subprocess.run(
        [sys.executable, "-m", "executor"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert all(name in line for name in names)
