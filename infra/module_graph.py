"""Find what a function's module imports, from its source code, so that its zip has nothing else.

The modules are parsed, not imported. Imports inside functions count; imports for type checkers do not. The results are
cached: functions share most modules, and parsing them for each function took half of the synthesis.
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
# The packages that a Lambda function can contain.
_OWN_PACKAGES = ("functions", "gateway")
# Part of Lambda's runtime for Python: https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html
_IN_RUNTIME = ("boto3", "botocore", "urllib3")


@dataclass(frozen=True, slots=True)
class Imports:
    """What a module needs besides Python and the Lambda runtime. Both tuples are sorted."""

    files: tuple[Path, ...]  # own modules and the data files in their packages, relative to ROOT
    distributions: tuple[str, ...]  # third-party packages, by their names in requirements.lock


def imports_of(module: str) -> Imports:
    """Return all direct and indirect imports of a module."""
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
    data = {file for package in packages for file in package.iterdir() if _is_data(file)}
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
    """Yield what a file imports: for `from a import b` both `a` and `a.b`, which can be a module."""
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
