"""Links of the documentation are not broken."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.pages import ROOT, Page, all_pages

PAGES = all_pages()
BY_PATH = {page.path: page for page in PAGES}


def problem(page: Page, link: str) -> str | None:
    """Return what is wrong with a link, or None. Makes no network request."""
    parts = urlsplit(link)
    if parts.scheme:
        return None if parts.scheme == "https" and "." in parts.netloc and " " not in link else "is not an https URL"
    target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
    if not target.is_relative_to(ROOT) or not target.exists():
        return "does not exist"
    if parts.fragment and (target not in BY_PATH or parts.fragment not in BY_PATH[target].anchors):
        return "has no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_are_not_broken(page: Page) -> None:
    """Files and headings exist; URLs of other sites are well-formed."""
    assert {link: found for link in page.links if (found := problem(page, link))} == {}


def test_every_page_is_linked_from_the_index() -> None:
    """Readers find every page by following links."""
    found, pending = set(), [BY_PATH[ROOT / "docs" / "README.md"], BY_PATH[ROOT / "README.md"]]
    while pending:
        page = pending.pop()
        found.add(page.path)
        targets = {(page.path.parent / urlsplit(link).path).resolve() for link in page.links if "://" not in link}
        pending += [BY_PATH[target] for target in targets if target in BY_PATH and target not in found]
    assert sorted(page.name for page in PAGES if page.path not in found) == []
