"""The zips of the functions: complete, small and reproducible."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from functions.routing import module_of
from infra import bundle as bundling
from infra.bundle import LAMBDA, bundle
from infra.module_graph import imports_of
from tests.infra.assembly import THIS_MACHINE
from tests.infra.functions import FUNCTIONS

pytestmark = pytest.mark.timeout(300)  # the first tests install packages

MOST_BYTES = 8 * 1024 * 1024
# The packages of the Lambda runtime.
IN_RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with the packages of the Lambda runtime."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in IN_RUNTIME:
        for file in importlib.metadata.files(name) or ():
            top = file.parts[0]
            source = (
                Path(str(file.locate())).parents[len(file.parts) - 2]
                if len(file.parts) > 1
                else Path(str(file.locate()))
            )
            if not top.startswith(".") and not (folder / top).exists():
                (folder / top).symlink_to(source)
    return folder


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_zip_has_everything_that_its_function_imports(function: str, runtime: Path, tmp_path: Path) -> None:
    """With Python and the Lambda runtime, all its modules can be imported."""
    zipfile.ZipFile(bundle(module_of(function), THIS_MACHINE).path).extractall(tmp_path)
    modules = [
        ".".join(file.with_suffix("").parts) for file in imports_of(module_of(function)).files if file.suffix == ".py"
    ]
    code = f"import sys; sys.path[:0] = {[str(tmp_path), str(runtime)]}; import {', '.join(modules)}"
    run = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)  # noqa: S603  ours
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_zip_is_small_and_for_the_lambda_platform(function: str) -> None:
    """Compiled parts are for arm64 and Python 3.13; boto3, tests and code of other hosts are excluded."""
    path = bundle(module_of(function), LAMBDA).path
    names = zipfile.ZipFile(path).namelist()
    assert path.stat().st_size < MOST_BYTES
    compiled = [name for name in names if name.endswith(".so")]
    assert compiled
    assert all("aarch64" in name or "abi3" in name for name in compiled)
    assert not [
        name
        for name in names
        if name.split("/")[0] in ("boto3", "botocore", "cli", "executor", "infra", "tests", "tools")
    ]
    assert not [name for name in names if name.endswith(".pyc") or "__pycache__" in name]


def test_the_same_sources_give_the_same_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte, also when the packages are installed again in another folder."""
    first = bundle("functions.events.dead_letters", LAMBDA)
    monkeypatch.setattr(bundling, "BUILD", tmp_path / "elsewhere")
    again = bundle("functions.events.dead_letters", LAMBDA)
    assert again.digest == first.digest
    assert again.path != first.path
    assert again.path.read_bytes() == first.path.read_bytes()


def test_only_the_docs_function_has_the_docs() -> None:
    """Data files are in the zip of the function that imports their package."""
    files = {"functions/api/static/openapi.json", "functions/api/static/docs.html"}
    assert files <= set(map(str, imports_of("functions.api.docs").files))
    assert files.isdisjoint(map(str, imports_of("functions.api.jobs").files))


def test_another_function_has_another_digest() -> None:
    """The digest depends on the content of the zip."""
    assert bundle("functions.api.health").digest != bundle("functions.api.audit").digest
