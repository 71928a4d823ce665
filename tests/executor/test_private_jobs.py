"""Private jobs: nothing that a job was given remains in files, names, errors, logs or ComfyUI's history."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
import requests
from PIL import Image

from comfyui_simulator.server import SimulatorServer
from executor.log import logger
from gateway.domain.job import Job, JobStatus
from testing.prompts import image_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.PngImagePlugin import PngImageFile

    from testing.executor_harness import AwsExecutorHarness, InMemoryExecutorHarness

SECRET = "a secret fox"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Capture the executor's log."""
    stream = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    return stream


@pytest.fixture
def without_metadata(simulator: SimulatorServer) -> Iterator[SimulatorServer]:
    """Run a ComfyUI with --disable-metadata."""
    with SimulatorServer(replace(simulator.settings, disable_metadata=True)) as server:
        yield server


def with_node(class_type: str, **inputs: object) -> dict[str, Any]:
    """Make a prompt with this node between the image and the node that saves it."""
    prompt = image_prompt(prefix=SECRET)
    prompt["3"] = {"class_type": class_type, "inputs": {"image": ["1", 0], **inputs}}
    prompt["2"]["inputs"]["images"] = ["3", 0]
    return prompt


def run(harness: InMemoryExecutorHarness, simulator: SimulatorServer, prompt: dict[str, Any], **settings: str) -> Job:
    """Run a private job."""
    return harness.run(simulator.url, prompt, private=True, **settings)


def test_an_image_is_stored_without_its_prompt(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """The prompt is not in the file, and its prefix not in the name; size and hash are of the stored file."""
    job = run(harness, simulator, with_node("LabText", text=SECRET))
    (output,) = job.outputs or ()
    assert output.filename == "output_00001.png"
    assert output.key == f"outputs/{job.id}/1/output_00001.png"
    content = harness.objects.get(output.key)
    assert (output.size, output.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    stored = cast("PngImageFile", Image.open(io.BytesIO(content)))
    assert stored.convert("RGB").getpixel((5, 5)) == (0, 0, 255)
    assert stored.text == {}
    assert SECRET.encode() not in content


def test_files_of_every_kind_are_numbered(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """Images, animations and texts: only the file extension of their names is kept."""
    prompt = with_node("LabText", text=SECRET)
    prompt["4"] = {"class_type": "LabUI", "inputs": {"json": '{"text": ["hello"]}', "image": ["1", 0]}}
    frames = {"images": ["1", 0], "filename_prefix": SECRET, "fps": 6.0}
    prompt["5"] = {"class_type": "SaveAnimatedPNG", "inputs": {**frames, "compress_level": 4}}
    job = run(harness, simulator, prompt)
    assert sorted(output.filename.split(".")[-1] for output in job.outputs or ()) == ["png", "png", "txt"]
    assert [output.filename.split(".")[0] for output in job.outputs or ()] == [f"output_0000{n}" for n in (1, 2, 3)]
    contents = [harness.objects.get(output.key) for output in job.outputs or ()]
    assert b"hello" in contents
    assert not [content for content in contents if SECRET.encode() in content]


def test_a_private_job_is_deleted_from_comfyui(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """Anyone who can reach ComfyUI can read its history: the job is deleted there, however it ended."""
    run(harness, simulator, with_node("LabText", text=SECRET))
    run(harness, simulator, with_node("LabRaise", kind="ValueError", message=SECRET))
    wait_until(lambda: requests.get(f"{simulator.url}/history", timeout=5).json() == {}, "an empty history")


def test_the_message_of_a_failing_node_is_withheld(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer, log: io.StringIO
) -> None:
    """The error has node, class and exception type; the exception's message may repeat what the job was given."""
    job = run(harness, simulator, with_node("LabRaise", kind="ValueError", message=SECRET))
    assert job.error is not None
    assert job.error.code == "COMFYUI_NODE_ERROR"
    assert all(text in job.error.message for text in ("ode 3 (LabRaise)", "ValueError", "privacy mode"))
    assert SECRET not in f"{job} {log.getvalue()}"


def test_out_of_memory_names_inputs_without_values(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer
) -> None:
    """The recommendation has their names only."""
    job = run(harness, simulator, with_node("LabRaise", kind="OOM", message=SECRET))
    assert job.error is not None
    assert job.error.code == "COMFYUI_OOM"
    assert "node 3 (LabRaise)" in job.error.message
    assert "width or height" in (job.error.recommendation or "")
    assert SECRET not in f"{job}"
    assert "64" not in f"{job.error}"


@pytest.mark.parametrize(
    ("prompt", "described"),
    [
        (with_node("LabRaise", kind=SECRET, message="x"), "node 3 (LabRaise): Value not in list (kind)"),
        (with_node("LabValidate", msg=SECRET), "node 3 (LabValidate): Custom validation failed for node (msg)"),
        (
            with_node("LabSleep", seconds=SECRET, steps=1, interruptible=True, progress=True),
            "node 3 (LabSleep): Failed to convert an input value to the type of the input (seconds)",
        ),
        (
            with_node("LabSleep", seconds=-7, steps=1, interruptible=True, progress=True),
            "node 3 (LabSleep): Value smaller than min (seconds)",
        ),
        ({"1": {"class_type": "Unknown", "inputs": {"text": SECRET}}}, "Cannot execute because a node has no class"),
    ],
)
def test_a_rejected_graph_is_described_without_values(
    harness: InMemoryExecutorHarness,
    simulator: SimulatorServer,
    log: io.StringIO,
    prompt: dict[str, Any],
    described: str,
) -> None:
    """ComfyUI's details repeat the values that were sent; node, input and error type do not."""
    job = run(harness, simulator, prompt)
    assert job.error is not None
    assert job.error.code == "COMFYUI_REJECTED"
    assert described in job.error.message
    assert SECRET not in f"{job} {log.getvalue()}"
    assert "-7" not in f"{job.error}"


@pytest.mark.parametrize("name", [f"{SECRET}.png", f"a\\n{SECRET}.png", f"../{SECRET}.png"])
def test_an_unreadable_file_is_named_by_its_number(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer, log: io.StringIO, name: str
) -> None:
    """Its original name can come from an input."""
    ui = f'{{"images": [{{"filename": "{name}", "subfolder": "", "type": "output"}}]}}'
    prompt = {**image_prompt(), "3": {"class_type": "LabUI", "inputs": {"json": ui, "image": ["1", 0]}}}
    job = run(harness, simulator, prompt, MAX_ATTEMPTS="1")
    assert job.error is not None
    assert job.error.code == "OUTPUT_ERROR"
    assert "output_0000" in job.error.message
    assert SECRET not in f"{job} {log.getvalue()}"


def test_a_comfyui_that_writes_metadata_is_logged_once(
    harness: InMemoryExecutorHarness,
    simulator: SimulatorServer,
    without_metadata: SimulatorServer,
    log: io.StringIO,
) -> None:
    """Only ComfyUI itself can keep prompts out of files other than PNG; for private jobs the log warns about it."""
    prompt = image_prompt()
    prompt["2"] = {
        "class_type": "SaveAnimatedWEBP",
        "inputs": {"images": ["1", 0], "filename_prefix": SECRET, "fps": 6.0, "lossless": True, "quality": 80}
        | {"method": "default"},
    }
    job = run(harness, without_metadata, prompt)
    (output,) = job.outputs or ()
    assert output.filename == "output_00001.webp"
    assert SECRET.encode() not in harness.objects.get(output.key)
    assert "metadata_written" not in log.getvalue()
    with harness.run_executor(simulator.url):
        harness.wait_until_ended(harness.submit(image_prompt()))
        assert "metadata_written" not in log.getvalue()
        for _ in range(2):
            harness.wait_until_ended(harness.submit(image_prompt(), private=True))
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    (warning,) = [line for line in lines if line.get("action") == "metadata_written"]
    assert "--disable-metadata" in warning["message"]


@pytest.mark.parametrize("private", [True, False])
def test_a_crashed_attempt_is_logged_without_its_message(
    harness: InMemoryExecutorHarness,
    simulator: SimulatorServer,
    log: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    *,
    private: bool,
) -> None:
    """The log has the type and stack of an unexpected exception; its message only if the job is not private."""

    def broken(prompt: object, *_: object) -> None:
        raise ValueError(f"cannot run {prompt}")

    monkeypatch.setattr("executor.job.runner.PromptProgress", broken)
    with harness.run_executor(simulator.url):
        harness.submit(image_prompt(prefix=SECRET), private=private)
        wait_until(lambda: "attempt_crashed" in log.getvalue(), "a crashed attempt")
    assert "runner.py" in log.getvalue()
    assert (SECRET in log.getvalue()) == (not private)


def test_an_invalid_message_is_not_logged(
    aws_harness: AwsExecutorHarness,
    simulator: SimulatorServer,
    log: io.StringIO,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A message that cannot be parsed stays in its queue, and no log has its content, in any mode."""
    url = aws_harness.environment["NORMAL_QUEUE_URL"]
    caplog.set_level(logging.INFO)
    for body in (SECRET, json.dumps({"jobId": SECRET, "priority": "normal"}), json.dumps({"prompt": {SECRET: 1}})):
        aws_harness.clients.sqs.send_message(QueueUrl=url, MessageBody=body)
    with aws_harness.run_executor(simulator.url):
        assert aws_harness.wait_until_ended(aws_harness.submit(image_prompt())).status is JobStatus.SUCCEEDED
        wait_until(lambda: aws_harness.message_count() == 3, "the invalid messages only")
    assert SECRET not in log.getvalue() + caplog.text
