"""Arguments of the measurements, and the files of their results."""

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
QUICK_RESULTS = ROOT / "build" / "bench"  # too short to be kept


def arguments() -> ArgumentParser:
    """Return an argument parser with the options of all scripts."""
    parser = ArgumentParser()
    parser.add_argument(
        "--quick", action="store_true", help="only check that it works; write the result to build/bench"
    )
    return parser


def write(name: str, result: Mapping[str, Any], *, quick: bool) -> None:
    """Write a result as `name`.json, with a description of the machine."""
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load": round(os.getloadavg()[0], 2)}
    folder = QUICK_RESULTS if quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"machine": machine, **result}, indent=2) + "\n")


def p95(samples: Sequence[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(samples, n=20)[-1] if len(samples) > 1 else samples[0]
