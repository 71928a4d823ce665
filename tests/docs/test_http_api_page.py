"""The page on the HTTP API is what the code gives."""

from __future__ import annotations

import runpy

from tests.docs.pages import ROOT


def test_the_page_is_the_one_that_the_code_gives() -> None:
    """`make docs` writes it, and would write the same."""
    made = runpy.run_path(str(ROOT / "tools" / "http_api.py"))["page_text"]()
    assert (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8") == made, "run `make docs`"
