"""The Dockerfiles of gateway, executor and ComfyUI, as far as they can be tested without a container engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import uv

from infra.module_graph import ROOT

EXECUTOR = ROOT / "executor" / "Dockerfile"
GATEWAY = ROOT / "local" / "Dockerfile"
COMFYUI = ROOT / "examples" / "comfyui" / "Dockerfile"
MOST_MIB = 120


@pytest.mark.parametrize("dockerfile", [GATEWAY, EXECUTOR, COMFYUI], ids=["gateway", "executor", "comfyui"])
def test_a_linter_finds_nothing_in_a_dockerfile(dockerfile: Path) -> None:
    """The container runs as a non-root user and has a health check."""
    hadolint = Path(sys.executable).with_name("hadolint")
    run = subprocess.run([hadolint, dockerfile], capture_output=True, text=True, check=False)  # noqa: S603  our own file
    assert run.returncode == 0, run.stdout
    text = dockerfile.read_text()
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1] == "10001"
    assert "\nHEALTHCHECK " in text


def test_the_executor_image_is_complete_and_small(tmp_path: Path) -> None:
    """Run its steps in an empty environment: the packages of the Dockerfile, and two folders."""
    assert "COPY executor/requirements.lock ./" in EXECUTOR.read_text()
    python = tmp_path / "bin" / "python"
    _run(uv.find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(tmp_path))
    _run(
        uv.find_uv_bin(), "pip", "install", "--quiet", "--link-mode", "copy", "--python", str(python),
        "--require-hashes", "--requirement", str(ROOT / "executor" / "requirements.lock"),
    )  # fmt: skip
    (packages,) = (tmp_path / "lib").glob("python3.*/site-packages")
    for folder in ("gateway", "executor"):
        shutil.copytree(ROOT / folder, packages / folder, ignore=shutil.ignore_patterns("__pycache__"))

    modules = ", ".join(f"executor.{file.stem}" for file in (ROOT / "executor").glob("*.py") if file.stem[0] != "_")
    _run(str(python), "-I", "-c", f"import {modules}")
    started = subprocess.run([python, "-I", "-m", "executor"], env={}, capture_output=True, text=True, check=False)  # noqa: S603  ours
    assert (started.returncode, started.stderr.split(":")[0]) == (1, "executor")
    assert "TABLE_NAME: is not set" in started.stderr
    size = sum(file.stat().st_size for file in packages.rglob("*") if file.is_file() and file.suffix != ".pyc")
    assert size < MOST_MIB * 1024 * 1024


def _run(*command: str) -> None:
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  ours
    assert run.returncode == 0, run.stderr
