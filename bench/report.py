"""How a measurement is asked for, and where its result goes."""

from __future__ import annotations

import json
import os
import platform
import statistics
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"
QUICK_RESULTS = ROOT / "build" / "bench"  # too short to be worth keeping


def arguments() -> ArgumentParser:
    """Give the parser of a script's arguments, with what all scripts take in it."""
    parser = ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="only see that it works; the result goes to build/bench")
    return parser


def write(name: str, result: Mapping[str, Any], *, quick: bool) -> None:
    """Write a result as `name`.json, with the machine that it is of."""
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load": round(os.getloadavg()[0], 2)}
    folder = QUICK_RESULTS if quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"machine": machine, **result}, indent=2) + "\n")


def p95(samples: Sequence[float]) -> float:
    """Give the value that one sample in twenty is above."""
    return statistics.quantiles(samples, n=20)[-1] if len(samples) > 1 else samples[0]
