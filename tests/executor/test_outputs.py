"""Outputs: which files of an execution are stored, and which fail the job."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from executor.job.outputs import reported_files, unique_names
from gateway.domain.job import JobStatus
from testing.prompts import image_prompt

if TYPE_CHECKING:
    from comfyui_simulator.server import SimulatorServer
    from testing.executor_harness import InMemoryExecutorHarness


def reporting_prompt(ui: str) -> dict[str, Any]:
    """Make a prompt with a node that reports this JSON as its outputs."""
    return {**image_prompt(), "3": {"class_type": "LabUI", "inputs": {"json": ui, "image": ["1", 0]}}}


def test_files_in_batches_are_found() -> None:
    """Some nodes report a list for each image of a batch."""
    first, second = ({"filename": f"{name}.png", "subfolder": "", "type": "output"} for name in "ab")
    assert [file.filename for file in reported_files({"9": {"images": [[first], second]}})] == ["a.png", "b.png"]


def test_text_is_an_output(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """Texts that nodes report are stored as files, even with invalid Unicode."""
    job = harness.run(simulator.url, reporting_prompt('{"text": ["hello", "a\\ud800b"]}'))
    assert job.status is JobStatus.SUCCEEDED, job.error
    texts = [output for output in job.outputs or () if output.content_type == "text/plain"]
    assert [harness.objects.get(output.key) for output in texts] == [b"hello", b"a?b"]


def test_too_many_outputs_fail_the_job(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """More outputs than a job item can name fail the job before any is stored, with a recommendation."""
    texts = ", ".join(f'"{number}"' for number in range(4000))
    job = harness.run(simulator.url, reporting_prompt(f'{{"text": [{texts}]}}'))
    assert job.error is not None
    assert (job.error.code, job.error.retryable, job.attempt) == ("OUTPUT_ERROR", False, 1)
    assert "4001 outputs" in job.error.message
    assert "batch_size" in (job.error.recommendation or "")
    assert not harness.ports.objects.objects


@pytest.mark.parametrize("filename", ["../../etc/passwd", "a\\nb.png", "a\\ud800.png"])
def test_a_file_that_comfyui_refuses_fails_the_job(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer, filename: str
) -> None:
    """There is no retry, and the error does not repeat the path."""
    ui = f'{{"images": [{{"filename": "{filename}", "subfolder": "", "type": "output"}}]}}'
    job = harness.run(simulator.url, reporting_prompt(ui))
    assert job.error is not None
    assert (job.error.code, job.error.retryable, job.attempt) == ("OUTPUT_ERROR", False, 1)
    assert "etc/" not in job.error.message


def test_control_characters_are_removed_from_a_prefix(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer
) -> None:
    """A file name prefix can come from an input."""
    job = harness.run(simulator.url, image_prompt(prefix="a\nb\x7fc"))
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
def test_missing_settings_are_named(environment: dict[str, str], names: list[str]) -> None:
    """One line on standard error, and exit code 1."""
    run = subprocess.run(
        [sys.executable, "-m", "executor"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert all(name in line for name in names)


def test_many_equal_names_are_numbered_quickly() -> None:
    """The time does not grow with the square of their number."""
    started = time.process_time()
    names = unique_names(["a.png"] * 8000 + ["a_2.png", "b"] * 2)
    assert time.process_time() - started < 1
    assert len(set(names)) == len(names)
    assert names[:3] == ["a.png", "a_2.png", "a_3.png"]
