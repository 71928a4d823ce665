"""The page of measurements shows what was measured last."""

from __future__ import annotations

import subprocess
import sys

from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "measurements.md"


def test_its_table_is_that_of_the_results() -> None:
    """Whoever measures again and keeps the results has to write the page again: `make bench` does."""
    show = "import targets; print(targets.page_with(targets.table(targets.RESULTS)), end='')"
    run = subprocess.run(  # noqa: S603  our own file
        [sys.executable, "-c", show], cwd=ROOT / "bench", capture_output=True, text=True, check=True
    )
    assert run.stdout == PAGE.read_text(encoding="utf-8")
