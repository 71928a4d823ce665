"""What a function's module imports, read from the source: so that its zip holds that and nothing else.

Nothing is imported here, and imports inside functions count, as they happen some time. Those for type checkers don't.
What was read is remembered: functions share most of it, and reading it for each anew took half of a synthesis.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[1]
# What a Lambda function may consist of. Whatever else lies in the repository is no part of one.
_OWN_PACKAGES = ("functions", "gateway")
# Part of Lambda's runtime for Python: https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html
_IN_RUNTIME = ("boto3", "botocore", "urllib3")


@dataclass(frozen=True, slots=True)
class Imports:
    """All that a module needs beside Python and Lambda's runtime. Both are sorted."""

    files: tuple[Path, ...]  # our own, relative to ROOT, with what lies beside them in their packages (style sheets …)
    distributions: tuple[str, ...]  # others', by the names that requirements.lock has


def imports_of(module: str) -> Imports:
    """Follow a module's imports, theirs, and so on."""
    own: dict[str, Path] = {}
    foreign: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in own:
            continue
        path = _file_of(name)
        if path is None:
            continue
        own[name] = path
        waiting.extend(_parents(name))
        for imported in _imported(path):
            if imported.split(".")[0] in _OWN_PACKAGES:
                waiting.append(imported)
            else:
                foreign.add(imported.split(".")[0])
    packages = {path.parent for path in own.values() if path.name == "__init__.py"}
    data = {beside for package in packages for beside in package.iterdir() if _is_data(beside)}
    files = sorted({path.relative_to(ROOT) for path in {*own.values(), *data}})
    return Imports(tuple(files), tuple(sorted(_distributions(foreign))))


def _file_of(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((each for each in (path / "__init__.py", path.with_suffix(".py")) if each.is_file()), None)


def _parents(module: str) -> list[str]:
    steps = module.split(".")[:-1]
    return [".".join(steps[: end + 1]) for end in range(len(steps))]


@cache
def _imported(path: Path) -> tuple[str, ...]:
    return tuple(_names_imported(path))


def _names_imported(path: Path) -> Iterator[str]:
    """Name what a file imports; for `from a import b` both `a` and `a.b`, which may be a module."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(source), level=0):
                yield source
                yield from (f"{source}.{alias.name}" for alias in node.names)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                waiting.extend(node.orelse)
            case _:
                waiting.extend(ast.iter_child_nodes(node))


def _is_data(path: Path) -> bool:
    return path.is_file() and path.suffix not in (".py", ".pyc")


def _distributions(packages: set[str]) -> set[str]:
    # Python's own modules belong to no distribution.
    owners = _owners()
    return {owners[package][0].lower() for package in packages if package in owners and package not in _IN_RUNTIME}


@cache
def _owners() -> Mapping[str, list[str]]:
    return packages_distributions()
