"""The page on costs says what the bench counted."""

from __future__ import annotations

import json
import re

from infra.module_graph import ROOT

COST = json.loads((ROOT / "bench" / "results" / "cost.json").read_text())
PAGE = (ROOT / "docs" / "cost.md").read_text()


def test_each_part_and_each_total_is_what_was_counted() -> None:
    """Whoever runs the bench again has to write the page again."""
    said = [
        tuple(map(float, re.findall(r"\d+\.\d\d", line.split("|")[2]))) for line in PAGE.splitlines() if "|" in line
    ]
    figures = {figure for row in said for figure in row}
    parts = {round(sum(units.values()), 2) for units in COST["dollars_per_million_jobs"].values()}
    totals = {total for name, total in COST["totals"].items() if "beyond" not in name}
    rounding = 0.02  # parts are sums of rounded units
    for wanted in parts | totals:
        assert any(abs(wanted - figure) < rounding for figure in figures), wanted
    assert f"**{COST['totals']['a month without jobs, beyond what is free']}**" in PAGE


def test_the_page_names_region_and_date_of_the_prices() -> None:
    """A price without them says nothing."""
    assert COST["prices"]["region"] in PAGE
    assert COST["prices"]["as_of"] in PAGE
