"""What functions load before their first answer, and how long that takes, stays within a budget."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from functions.routing import module_of
from infra.module_graph import ROOT, imports_of
from tests.infra.functions import FUNCTIONS

BENCH = ROOT / "bench" / "bench_cold_start.py"
BUDGET = json.loads((ROOT / "bench" / "results" / "cold_start.json").read_text())["functions"]
GROWTH = 1.25
ROUNDS = 15


def load(name: str) -> Any:  # noqa: ANN401  JSON
    """Load a function in a process of its own."""
    run = subprocess.run(  # noqa: S603  our own file
        [sys.executable, str(BENCH), name],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_loads_no_more_than_a_quarter_above_its_budget(function: str) -> None:
    """Neither modules nor bytes of code: they are the same each time, on each machine."""
    loaded = load(function)
    assert loaded["modules"] <= GROWTH * BUDGET[function]["modules"]
    assert loaded["kib"] <= GROWTH * BUDGET[function]["kib"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_only_functions_that_check_inputs_bring_the_validator(function: str) -> None:
    """It trebles an archive."""
    brings_it = "jsonschema_rs" in imports_of(module_of(function)).distributions
    assert brings_it == (function in ("jobs", "workflows"))


@cache
def slowness() -> float:
    """Tell how many times slower this machine is than the one that the budget is of."""
    return float(min(load("reference")["cpu_ms"] for _ in range(5)) / BUDGET["reference"]["cpu_ms"])


@pytest.mark.deployment  # where nothing else runs beside it
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_takes_no_more_than_a_quarter_above_its_budget_to_load(function: str) -> None:
    """In CPU time, in the best of some rounds: what else happens on a machine makes rounds slower, and none faster."""
    most_ms = GROWTH * BUDGET[function]["cpu_ms"] * slowness()
    rounds: list[float] = []
    while not rounds or (min(rounds) > most_ms and len(rounds) < ROUNDS):
        rounds.append(load(function)["cpu_ms"])
    assert min(rounds) <= most_ms, f"the best of {len(rounds)} rounds"
