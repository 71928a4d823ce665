"""The synthesized templates, cached until a source file changes because synthesis is slow."""

from __future__ import annotations

import fcntl
import hashlib
import json
import platform
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.bundle import Platform
from infra.module_graph import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The embedded AWS runs functions with its own Python.
THIS_MACHINE = Platform(
    python=".".join(platform.python_version_tuple()[:2]), machine=f"{platform.machine()}-manylinux_2_34"
)
_BUILD = ROOT / "build" / "tests"
_SOURCES = ("infra/**/*.py", "functions/**/*", "gateway/**/*.py", "tests/infra/s*.py", "requirements.lock", "cdk.json")


@dataclass(frozen=True)
class Assembly:
    """The templates and assets of one stage."""

    folder: Path
    stage: str

    @property
    def prefix(self) -> str:
        """The prefix of the stack names."""
        return f"comfyui-gateway-{self.stage}-"

    def template(self, stack: str) -> dict[str, Any]:
        """Return the template of a stack, by the last part of its name."""
        return dict(json.loads((self.folder / f"{self.prefix}{stack}.template.json").read_text()))

    @cached_property
    def templates(self) -> dict[str, dict[str, Any]]:
        """All templates by stack name, in an order in which they can be deployed."""
        manifest = json.loads((self.folder / "manifest.json").read_text())
        waiting = {
            name: {need for need in artifact.get("dependencies", ()) if not need.endswith(".assets")}
            for name, artifact in manifest["artifacts"].items()
            if artifact["type"] == "aws:cloudformation:stack"
        }
        ordered: list[str] = []
        while waiting:
            ready = sorted(name for name, needs in waiting.items() if needs <= set(ordered))
            ordered += ready
            for name in ready:
                del waiting[name]
        return {name: self.template(name.removeprefix(self.prefix)) for name in ordered}

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the resources of a type (`AWS::SQS::Queue`) in all stacks, by logical id."""
        return {
            name: resource
            for template in self.templates.values()
            for name, resource in template["Resources"].items()
            if resource["Type"] == kind
        }

    def named(self, reference: Mapping[str, Any]) -> str:
        """Return the logical id that a value refers to, in its stack or in another one."""
        match reference:
            case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]}:
                return name
            case {"Fn::ImportValue": str(name)}:
                return self.named(self._exports[name])
        raise AssertionError(f"{reference} refers to nothing")

    @cached_property
    def _exports(self) -> dict[str, Any]:
        outputs = [output for template in self.templates.values() for output in template.get("Outputs", {}).values()]
        return {output["Export"]["Name"]: output["Value"] for output in outputs if "Export" in output}


def assembly(stage: str) -> Assembly:
    """Return a stage of stages.py for this machine. All stages are synthesized at once, again when a source changes."""
    folder = _BUILD / _fingerprint()[:16]
    with _exclusive(_BUILD / "lock"):
        if not folder.exists():
            _synthesize_all(folder)
    return Assembly(folder / stage, stage)


def _fingerprint() -> str:
    digest = hashlib.sha256(str(THIS_MACHINE).encode())
    files = sorted({path for pattern in _SOURCES for path in ROOT.glob(pattern) if path.is_file()})
    for path in files:
        if "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(ROOT)} {path.stat().st_size} ".encode() + path.read_bytes())
    return digest.hexdigest()


def _synthesize_all(folder: Path) -> None:
    fresh = Path(tempfile.mkdtemp(dir=folder.parent))
    run = subprocess.run(  # noqa: S603  the command is this package's own
        [sys.executable, "-m", "tests.infra.synthesize", THIS_MACHINE.python, THIS_MACHINE.machine, fresh],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    fresh.rename(folder)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Lock, so that one test process synthesizes at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
