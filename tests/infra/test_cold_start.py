"""What functions load before their first response stays within a budget. `bench/bench_cold_start.py` has the times."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from functions.routing import module_of
from infra.module_graph import ROOT, imports_of
from tests.infra.functions import FUNCTIONS

BENCH = ROOT / "bench" / "bench_cold_start.py"
BUDGET = json.loads((ROOT / "tests" / "infra" / "cold_start_budget.json").read_text())


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
    assert loaded["modules"] <= BUDGET[function]["modules"]
    assert loaded["kib"] <= BUDGET[function]["kib"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_only_functions_that_validate_inputs_include_the_validator(function: str) -> None:
    """It triples the size of an archive."""
    includes_it = "jsonschema_rs" in imports_of(module_of(function)).distributions
    assert includes_it == (function in ("jobs", "workflows"))
