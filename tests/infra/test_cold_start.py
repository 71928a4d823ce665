"""What functions load before their first response, and how long that takes, stays within a budget."""

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
# The limit of each function, and the time of bench_cold_start.py's reference on the machine of these limits.
BUDGET = json.loads((ROOT / "tests" / "infra" / "cold_start_budget.json").read_text())
ROUNDS = 15


def load(name: str) -> Any:  # noqa: ANN401  JSON
    """Load a function in its own process."""
    run = subprocess.run(  # noqa: S603  our own file
        [sys.executable, str(BENCH), name],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_loads_no_more_than_its_budget(function: str) -> None:
    """The number of modules and the size of their code are the same on every machine."""
    loaded = load(function)
    assert loaded["modules"] <= BUDGET["limits"][function]["modules"]
    assert loaded["kib"] <= BUDGET["limits"][function]["kib"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_only_functions_that_validate_inputs_include_the_validator(function: str) -> None:
    """It triples the size of an archive."""
    includes_it = "jsonschema_rs" in imports_of(module_of(function)).distributions
    assert includes_it == (function in ("jobs", "workflows"))


@cache
def slowness() -> float:
    """Return how many times slower this machine is than the one of the budget."""
    return float(min(load("reference")["cpu_ms"] for _ in range(5)) / BUDGET["reference_cpu_ms"])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_loads_within_its_time(function: str) -> None:
    """CPU time of the best of some rounds: other load makes rounds slower, and none faster."""
    limit_ms = BUDGET["limits"][function]["cpu_ms"] * slowness()
    rounds: list[float] = []
    while not rounds or (min(rounds) > limit_ms and len(rounds) < ROUNDS):
        rounds.append(load(function)["cpu_ms"])
    assert min(rounds) <= limit_ms, f"the best of {len(rounds)} rounds"
