"""What the code looks like as a whole: who imports whom, and what files may name."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tracked_files() -> list[Path]:
    """List what is in version control and on disk."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout  # noqa: S603  no input
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_imports_point_one_way() -> None:
    """Every contract of .importlinter is kept."""
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([linter, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603  no input
    assert run.returncode == 0, run.stdout + run.stderr
    assert ", 0 broken." in run.stdout


def uses(path: Path) -> set[str]:
    """Collect what a module names: plain names, and attributes of plain names as `os.environ`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    attributes = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    return names | attributes


def test_the_domain_does_no_io() -> None:
    """Beside the imports that are forbidden there, the domain opens, reads and prints nothing."""
    domain = [path for path in tracked_files() if (ROOT / "gateway" / "domain") in path.parents]
    assert len(domain) > 5
    forbidden = {"open", "input", "print", "exec", "eval", "__import__"}
    assert {path.name: found for path in domain if (found := uses(path) & forbidden)} == {}


def test_the_environment_is_read_at_the_roots_only() -> None:
    """Settings reach everything else as arguments."""
    roots = {"functions/wiring/entry.py", "executor/__main__.py", "executor/liveness.py", "gateway/aws/clients.py"}
    reading = {
        name
        for path in tracked_files()
        if path.suffix == ".py"
        and (name := str(path.relative_to(ROOT))).startswith(("gateway/", "functions/", "executor/"))
        and uses(path) & {"os.environ", "os.getenv", "environ", "getenv"}
    }
    assert reading == roots


def machine_paths() -> list[str]:
    """List the paths that mean something on this machine only, and the one beside every checkout."""
    beside = "shared"
    # A folder right below the root, /srv say, may well be meant in general.
    own = [path for path in (Path.home(), ROOT, ROOT.parent) if path == Path.home() or len(path.parts) > 2]
    return [*map(str, own), f"../{beside}"]


def test_no_file_names_a_path_of_this_machine() -> None:
    """What is checked in means the same wherever it is checked out."""
    named = re.compile("|".join(rf"(?<![\w.]){re.escape(path)}(?![\w.-])" for path in machine_paths()).encode())
    found = {
        str(path.relative_to(ROOT)): match[0] for path in tracked_files() if (match := named.search(path.read_bytes()))
    }
    assert found == {}


@pytest.mark.parametrize("path", machine_paths())
def test_such_a_path_would_be_found(path: str) -> None:
    """The search finds each of them in the middle of a text."""
    named = re.compile(rf"(?<![\w.]){re.escape(path)}(?![\w.-])")
    assert named.search(f"see {path}/notes.md")
    assert not named.search(f"see {path}-else")
