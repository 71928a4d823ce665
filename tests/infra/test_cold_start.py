"""What functions load before their first answer stays within a budget."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from infra.imports import ROOT
from tests.infra.functions import FUNCTIONS

BENCH = ROOT / "bench" / "bench_cold_start.py"
BUDGET = json.loads((ROOT / "bench" / "results" / "cold_start.json").read_text())["functions"]
GROWTH = 1.25


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_loads_no_more_than_a_quarter_above_its_budget(function: str) -> None:
    """Neither modules nor bytes of code: they are the same each time, and time grows with them."""
    run = subprocess.run(  # noqa: S603  our own file
        [sys.executable, str(BENCH), function],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = json.loads(run.stdout)
    assert loaded["modules"] <= GROWTH * BUDGET[function]["modules"]
    assert loaded["kib"] <= GROWTH * BUDGET[function]["kib"]
