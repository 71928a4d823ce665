"""Privacy mode on a ComfyUI without --disable-metadata, which writes prompts into files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, cast

import pytest
import requests
from PIL import Image

from tests.comfyui.gateway_process import LabGateway
from tests.comfyui.test_jobs_end_to_end import TINY, lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.PngImagePlugin import PngImageFile

MARK = "zq-a-private-fox-qz"


@pytest.fixture(scope="module")
def private(comfyui_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabGateway]:
    """Run a gateway in privacy mode."""
    with LabGateway(comfyui_url, tmp_path_factory.mktemp("private"), PRIVACY_MODE="true") as running:
        yield running


def animated() -> dict[str, object]:
    """Make a graph whose files are an image and an animation, named by an input."""
    frames = {"images": ["1", 0], "fps": 6.0, "compress_level": 4, "filename_prefix": "{{prompt}}"}
    return {
        **lab("LabText", text="{{prompt}}"),
        "4": {"class_type": "SaveAnimatedPNG", "inputs": frames},
    }


def test_images_are_stored_without_their_prompt(private: LabGateway, comfyui_url: str) -> None:
    """A sampled image, and an animation, which has its texts in ComfyUI's own chunks."""
    private.register("animated", animated(), {"prompt": {"type": "string"}})
    jobs = [
        private.submit("sdxl_realism_v1", **{**TINY, "prompt": MARK}),
        private.submit("animated", prompt=MARK),
    ]
    assert [job["status"] for job in jobs] == ["succeeded", "succeeded"], jobs
    outputs = [output for job in jobs for output in job["outputs"]]
    assert sorted(output["filename"] for output in outputs) == ["output_00001.png"] * 2 + ["output_00002.png"]
    for output in outputs:
        content = private.call("GET", output["url"]).content
        image = cast("PngImageFile", Image.open(io.BytesIO(content)))
        assert image.size == (64, 64)
        assert image.text == {}
        assert b"comf" not in content
        assert MARK.encode() not in content
    assert MARK not in requests.get(f"{comfyui_url}/history", timeout=10).text


def test_errors_have_no_values(private: LabGateway, comfyui_url: str) -> None:
    """ComfyUI's errors repeat the name of a missing model, and a node's exception anything."""
    private.register("fails", lab("LabRaise", kind="ValueError", message="{{prompt}}"), {"prompt": {"type": "string"}})
    refused = private.submit("sdxl_realism_v1", **{**TINY, "checkpoint": f"{MARK}.safetensors"})
    failed = private.submit("fails", prompt=MARK)
    assert (refused["error"]["code"], failed["error"]["code"]) == ("COMFYUI_REJECTED", "COMFYUI_NODE_ERROR")
    assert "(CheckpointLoaderSimple)" in refused["error"]["message"]
    assert "ckpt_name" in refused["error"]["message"]
    assert "(LabRaise) failed with ValueError" in failed["error"]["message"]
    logs = [private.call("GET", f"/jobs/{job['jobId']}/logs").text for job in (refused, failed)]
    assert MARK not in f"{refused} {failed} {logs}"
    assert MARK not in requests.get(f"{comfyui_url}/history", timeout=10).text


def test_logs_have_no_values(private: LabGateway) -> None:
    """The executor's log warns once that ComfyUI writes metadata."""
    for _ in range(2):
        private.submit("icon_512", **{**TINY, "prompt": MARK})
    logs = {log.name: log.read_text() for log in (private.data / "logs").iterdir()}
    assert [name for name, text in logs.items() if MARK in text] == []
    assert logs["executor.log"].count("metadata_written") == 1
