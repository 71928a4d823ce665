"""The page of measurements shows the current results."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "measurements.md"
CHARTS = sorted((ROOT / "docs" / "measurements").glob("*.svg"))


def test_the_tables_are_those_of_the_results() -> None:
    """New results need a new page: `make bench` writes both."""
    show = "import targets; print(targets.page_with(targets.tables_of(targets.RESULTS)), end='')"
    run = subprocess.run(  # noqa: S603  our own file
        [sys.executable, "-c", show], cwd=ROOT / "bench", capture_output=True, text=True, check=True
    )
    assert run.stdout == PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.stem)
def test_a_chart_is_of_the_current_results(chart: Path) -> None:
    """It contains the hash of the result that it shows; `make charts` draws it again."""
    result = ROOT / "bench" / "results" / f"{chart.stem}.json"
    (stamp,) = re.findall(r"sha256:(\w+)", chart.read_text(encoding="utf-8"))
    assert stamp == hashlib.sha256(result.read_bytes()).hexdigest()


def test_every_chart_is_shown() -> None:
    """And every chart of the page exists."""
    assert {chart.name for chart in CHARTS} == set(re.findall(r"measurements/(\w+\.svg)", PAGE.read_text("utf-8")))
