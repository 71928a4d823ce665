"""Private jobs on an executor: what they were given stays out of files, names, errors and ComfyUI's memory."""

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
from tests.executor.stage import Stage, picture, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.PngImagePlugin import PngImageFile

SECRET = "a secret fox"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Catch what the executor logs."""
    stream = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    return stream


@pytest.fixture
def without_metadata(simulator: SimulatorServer) -> Iterator[SimulatorServer]:
    """Give a ComfyUI that was started with --disable-metadata."""
    with SimulatorServer(replace(simulator.settings, disable_metadata=True)) as server:
        yield server


def behind(class_type: str, **inputs: object) -> dict[str, Any]:
    """Put a node between picture and file."""
    prompt = picture(prefix=SECRET)
    prompt["3"] = {"class_type": class_type, "inputs": {"image": ["1", 0], **inputs}}
    prompt["2"]["inputs"]["images"] = ["3", 0]
    return prompt


def run(stage: Stage, simulator: SimulatorServer, prompt: dict[str, Any], *, max_attempts: int = 3) -> Job:
    """Run a private job to its end, and until its message is gone."""
    with stage.executor(simulator.url, MAX_ATTEMPTS=str(max_attempts)):
        job = stage.ended(stage.accept(prompt, private=True))
        wait_until(lambda: stage.messages_left() == 0, "an empty queue")
    return job


def test_a_picture_is_stored_without_what_made_it(stage: Stage, simulator: SimulatorServer) -> None:
    """The prompt is not in the file, its prefix not in the name; size and hash are those of what is stored."""
    job = run(stage, simulator, behind("LabText", text=SECRET))
    (output,) = job.outputs or ()
    assert output.filename == "output_00001.png"
    assert output.key == f"outputs/{job.id}/1/output_00001.png"
    content = stage.objects.get(output.key)
    assert (output.size, output.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    stored = cast("PngImageFile", Image.open(io.BytesIO(content)))
    assert stored.convert("RGB").getpixel((5, 5)) == (0, 0, 255)
    assert stored.text == {}
    assert SECRET.encode() not in content


def test_files_of_every_kind_are_numbered(stage: Stage, simulator: SimulatorServer) -> None:
    """Pictures, animations and texts: an ending that tells what a file is stays, all else of its name goes."""
    prompt = behind("LabText", text=SECRET)
    prompt["4"] = {"class_type": "LabUI", "inputs": {"json": '{"text": ["hello"]}', "image": ["1", 0]}}
    frames = {"images": ["1", 0], "filename_prefix": SECRET, "fps": 6.0}
    prompt["5"] = {"class_type": "SaveAnimatedPNG", "inputs": {**frames, "compress_level": 4}}
    job = run(stage, simulator, prompt)
    assert sorted(output.filename.split(".")[-1] for output in job.outputs or ()) == ["png", "png", "txt"]
    assert [output.filename.split(".")[0] for output in job.outputs or ()] == [f"output_0000{n}" for n in (1, 2, 3)]
    contents = [stage.objects.get(output.key) for output in job.outputs or ()]
    assert b"hello" in contents
    assert not [content for content in contents if SECRET.encode() in content]


def test_comfyui_forgets_a_private_job(stage: Stage, simulator: SimulatorServer) -> None:
    """Its history, which anybody can read who reaches it, has it no more, however the job ended."""
    run(stage, simulator, behind("LabText", text=SECRET))
    run(stage, simulator, behind("LabRaise", kind="ValueError", message=SECRET))
    wait_until(lambda: requests.get(f"{simulator.url}/history", timeout=5).json() == {}, "an empty history")


def test_a_failing_node_is_named_and_its_message_withheld(
    stage: Stage, simulator: SimulatorServer, log: io.StringIO
) -> None:
    """Node, class and type of the error say where to look; the message may quote what it was given."""
    job = run(stage, simulator, behind("LabRaise", kind="ValueError", message=SECRET))
    assert job.error is not None
    assert job.error.code == "COMFYUI_NODE_ERROR"
    assert job.error.message == "Node 3 (LabRaise) failed with ValueError: Details are withheld in privacy mode."
    assert SECRET not in f"{job} {log.getvalue()}"


def test_out_of_memory_still_says_what_to_lower(stage: Stage, simulator: SimulatorServer) -> None:
    """By name and without a value; the node's own words are left out."""
    job = run(stage, simulator, behind("LabRaise", kind="OOM", message=SECRET))
    assert job.error is not None
    assert job.error.code == "COMFYUI_OOM"
    assert job.error.message.startswith("Out of memory at node 3 (LabRaise)")
    assert "Reduce width or height;" in (job.error.recommendation or "")
    assert SECRET not in f"{job}"
    assert "64" not in f"{job.error}"


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (behind("LabRaise", kind=SECRET, message="x"), "node 3 (LabRaise): Value not in list (kind)"),
        (behind("LabValidate", msg=SECRET), "node 3 (LabValidate): Custom validation failed for node (msg)"),
        (
            behind("LabSleep", seconds=SECRET, steps=1, interruptible=True, progress=True),
            "node 3 (LabSleep): Failed to convert an input value to the type of the input (seconds)",
        ),
        (
            behind("LabSleep", seconds=-7, steps=1, interruptible=True, progress=True),
            "node 3 (LabSleep): Value smaller than min (seconds)",
        ),
        ({"1": {"class_type": "Unknown", "inputs": {"text": SECRET}}}, "Cannot execute because a node has no class"),
    ],
)
def test_a_refused_graph_says_where_and_what_but_not_which_value(
    stage: Stage, simulator: SimulatorServer, log: io.StringIO, prompt: dict[str, Any], said: str
) -> None:
    """ComfyUI's details quote what was sent; node, input and kind of error do not."""
    job = run(stage, simulator, prompt)
    assert job.error is not None
    assert job.error.code == "COMFYUI_REJECTED"
    assert said in job.error.message
    assert job.error.message.endswith("Details are withheld in privacy mode.")
    assert SECRET not in f"{job} {log.getvalue()}"
    assert "-7" not in f"{job.error}"


@pytest.mark.parametrize("name", [f"{SECRET}.png", f"a\\n{SECRET}.png", f"../{SECRET}.png"])
def test_a_file_that_cannot_be_had_is_called_by_its_number(
    stage: Stage, simulator: SimulatorServer, log: io.StringIO, name: str
) -> None:
    """Nodes may name files as they were told to."""
    ui = f'{{"images": [{{"filename": "{name}", "subfolder": "", "type": "output"}}]}}'
    prompt = {**picture(), "3": {"class_type": "LabUI", "inputs": {"json": ui, "image": ["1", 0]}}}
    job = run(stage, simulator, prompt, max_attempts=1)
    assert job.error is not None
    assert job.error.code == "OUTPUT_ERROR"
    assert "output_0000" in job.error.message
    assert SECRET not in f"{job} {log.getvalue()}"


def test_files_that_only_comfyui_can_clean_are_warned_of_once(
    stage: Stage, simulator: SimulatorServer, without_metadata: SimulatorServer, log: io.StringIO
) -> None:
    """Started with --disable-metadata it writes nothing into them; started without, the executor's log says so."""
    prompt = picture()
    prompt["2"] = {
        "class_type": "SaveAnimatedWEBP",
        "inputs": {"images": ["1", 0], "filename_prefix": SECRET, "fps": 6.0, "lossless": True, "quality": 80}
        | {"method": "default"},
    }
    job = run(stage, without_metadata, prompt)
    (output,) = job.outputs or ()
    assert output.filename == "output_00001.webp"
    assert SECRET.encode() not in stage.objects.get(output.key)
    assert "metadata_written" not in log.getvalue()
    with stage.executor(simulator.url):
        stage.ended(stage.accept(picture()))
        assert "metadata_written" not in log.getvalue()
        for _ in range(2):
            stage.ended(stage.accept(picture(), private=True))
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    (warning,) = [line for line in lines if line.get("action") == "metadata_written"]
    assert "--disable-metadata" in warning["message"]


def test_a_broken_attempt_is_logged_without_its_message(
    stage: Stage, simulator: SimulatorServer, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an error that nobody foresaw the log has type and stack; of a usual job it has the message as well."""

    def broken(prompt: object, *_: object) -> None:
        raise ValueError(f"cannot watch {prompt}")

    monkeypatch.setattr("executor.job.runner.PromptProgress", broken)
    with stage.executor(simulator.url):
        for private in (True, False):
            stage.accept(picture(prefix=SECRET), private=private)
            wait_until(lambda: log.getvalue().count("attempt_crashed") == 2 - private, "a broken attempt")  # noqa: B023  called at once
            assert (SECRET in log.getvalue()) == (not private)
    assert "runner.py" in log.getvalue()


def test_a_message_that_is_none_is_not_quoted(
    stage: Stage, simulator: SimulatorServer, log: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be read stays where it is, and nobody logs what it says, whatever the mode."""
    url = stage.environment["NORMAL_QUEUE_URL"]
    caplog.set_level(logging.INFO)
    for body in (SECRET, json.dumps({"jobId": SECRET, "priority": "normal"}), json.dumps({"prompt": {SECRET: 1}})):
        stage.clients.sqs.send_message(QueueUrl=url, MessageBody=body)
    with stage.executor(simulator.url):
        assert stage.ended(stage.accept(picture())).status is JobStatus.SUCCEEDED
        wait_until(lambda: stage.messages_left() == 3, "the rest of the queue")
    assert SECRET not in log.getvalue() + caplog.text
