"""docs/cost.md has the results of the benchmark."""

from __future__ import annotations

import json
import re

from infra.module_graph import ROOT

COST = json.loads((ROOT / "bench" / "results" / "cost.json").read_text())
PAGE = (ROOT / "docs" / "cost.md").read_text()


def test_all_figures_are_measured() -> None:
    """After a new benchmark run, the page must be updated."""
    rows = [
        tuple(map(float, re.findall(r"\d+\.\d\d", line.split("|")[2]))) for line in PAGE.splitlines() if "|" in line
    ]
    figures = {figure for row in rows for figure in row}
    parts = {round(sum(units.values()), 2) for units in COST["dollars_per_million_jobs"].values()}
    totals = {total for name, total in COST["totals"].items() if "beyond" not in name}
    rounding = 0.02  # parts are sums of rounded units
    for wanted in parts | totals:
        assert any(abs(wanted - figure) < rounding for figure in figures), wanted
    assert f"**{COST['totals']['a month without jobs, beyond what is free']}**" in PAGE


def test_the_page_names_region_and_date_of_the_prices() -> None:
    """Prices differ by region and change over time."""
    assert COST["prices"]["region"] in PAGE
    assert COST["prices"]["as_of"] in PAGE
