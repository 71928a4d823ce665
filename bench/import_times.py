"""Split the load time of a function by package."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

LOADING = "loading"  # bench_cold_start.py prints this to stderr before it starts
_OURS = ("functions", "gateway")
_REST = "Python's own"
_MAKING = "making clients"
_LINE = re.compile(r"import time:\s+(?P<own_us>\d+) \|\s+\d+ \|\s*(?P<package>[^.\s]+)")
_OUTSIDE = ("site-packages", "dist-packages")


def shares_by_package(script: str, function: str) -> dict[str, float]:
    """Load a function as `script` does, with `-X importtime`; return the share of each package, largest first.

    The rest is the creation of AWS clients and of the handler. All shares add up to 1.
    """
    run = subprocess.run(  # noqa: S603  our own file
        [sys.executable, "-X", "importtime", script, function], capture_output=True, text=True, check=True
    )
    _, _, during = run.stderr.partition(f"{LOADING}\n")
    imports, _, after = during.partition(f"{LOADING} took ")
    times: Counter[str] = Counter()
    for line in _LINE.finditer(imports):
        times[_owner(line["package"])] += int(line["own_us"])
    times[_MAKING] = max(0, int(after.split()[0]) - times.total())
    return {package: round(time / times.total(), 3) for package, time in times.most_common()}


def _owner(package: str) -> str:
    if package in _OURS:
        return "ours"
    return package.removeprefix("_") if _is_installed(package) else _REST


def _is_installed(package: str) -> bool:
    return any(
        Path(folder, name).exists()
        for folder in sys.path
        if folder.endswith(_OUTSIDE)
        for name in (package, f"{package}.py")
    )
