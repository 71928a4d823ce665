"""Zips of the Lambda functions, made without Docker: what a function imports, and the locked packages for Lambda.

The same sources give the same zip, down to the byte, wherever it is made with the same zlib; its name, which decides
whether a function is deployed again, goes by what is in it alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uv

from infra.module_graph import ROOT, imports_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOCK = ROOT / "requirements.lock"
BUILD = ROOT / "build" / "functions"
# Not imported by any function, and a tenth of the size; the tests import each function without it.
# All other parts of Powertools are needed, at least by its resolver.
_UNUSED = (
    "bin/",  # programs
    "pydantic/v1/",  # the previous major version of pydantic
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/",  # the docs page has no Swagger UI
    *(
        f"aws_lambda_powertools/utilities/{part}/"
        for part in (
            "auth_alpha", "batch", "circuit_breaker", "data_masking", "feature_flags", "idempotency", "kafka",
            "parameters", "parser", "streaming",
        )
    ),
)  # fmt: skip
_FOR_TYPE_CHECKERS = (".pyi", ".typed")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time in a zip


@dataclass(frozen=True, slots=True)
class Platform:
    """The target platform of the zips, in the names of uv."""

    python: str
    machine: str


# Python 3.13 runs on Amazon Linux 2023, which has glibc 2.34.
LAMBDA = Platform(python="3.13", machine="aarch64-manylinux_2_34")


@dataclass(frozen=True, slots=True)
class Bundle:
    """The zip of a function. `digest`: SHA-256 of its content in hex."""

    path: Path
    digest: str


def bundle(module: str, platform: Platform = LAMBDA) -> Bundle:
    """Return the zip of a module, built if needed. Raises CalledProcessError if a package cannot be installed."""
    imports = imports_of(module)
    content = {str(file): ROOT / file for file in imports.files}
    content |= _content_of(_installed(imports.distributions, platform))
    digest = _digest((name, path.read_bytes()) for name, path in sorted(content.items()))
    target = BUILD / f"{module.rpartition('.')[2]}-{digest[:16]}.zip"
    if not target.exists():
        _write_zip(target, content)
    return Bundle(target, digest)


def _installed(distributions: tuple[str, ...], platform: Platform) -> Path:
    """Install packages and their dependencies in the locked versions. Returns the folder."""
    requirements = "\n".join(distributions).encode()
    key = _digest(
        [("lock", LOCK.read_bytes()), ("requirements", requirements), (platform.python, platform.machine.encode())]
    )
    target = BUILD / "packages" / key[:16]
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=target.parent))
    with tempfile.NamedTemporaryFile("w", suffix=".lock", encoding="utf-8") as pins:
        pins.write(_pins(distributions))
        pins.flush()
        subprocess.run(  # noqa: S603  arguments from the lock file and from this module
            [
                uv.find_uv_bin(), "pip", "install", "--quiet", "--target", fresh,
                "--require-hashes", "--requirement", pins.name, "--constraint", LOCK,
                "--python-version", platform.python, "--python-platform", platform.machine,
                "--only-binary", ":all:", "--no-compile-bytecode",
            ],
            check=True,
        )  # fmt: skip
    _move(fresh, target)
    return target


def _pins(distributions: tuple[str, ...]) -> str:
    """Return the entries of packages in the lock file, with their hashes. Raises KeyError for one that it lacks."""
    entries = {entry.partition("==")[0]: entry for entry in re.split(r"\n(?=\S)", LOCK.read_text(encoding="utf-8"))}
    return "\n".join(entries[name.replace("_", "-")] for name in distributions)


def _content_of(folder: Path) -> dict[str, Path]:
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path for name, path in files.items() if not _is_excluded(name)}


def _is_excluded(name: str) -> bool:
    # Installer files differ between runs, and metadata in .dist-info would be scanned at each cold start.
    metadata = name.startswith(".") or ".dist-info/" in name
    return metadata or name.startswith(_UNUSED) or name.endswith(_FOR_TYPE_CHECKERS)


def _digest(parts: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, content in parts:
        digest.update(f"{len(name)} {name} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _write_zip(target: Path, content: Mapping[str, Path]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, fresh = tempfile.mkstemp(dir=target.parent)
    with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for name, path in sorted(content.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16  # Lambda reads it as another user
            entry.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(entry, path.read_bytes())
    Path(fresh).replace(target)


def _move(fresh: Path, target: Path) -> None:
    """Rename a finished folder, unless another process has done so first."""
    try:
        fresh.rename(target)
    except OSError:
        shutil.rmtree(fresh)
