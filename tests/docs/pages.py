"""Parses the pages of the documentation: headings, links, code, and the blocks that are examples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>\S.*) -->\s*")
_ANCHOR = re.compile(r"<a (?:id|name)=\"([^\"]+)\">")


@dataclass(frozen=True)
class Block:
    """A fenced block. `not_run` is the reason in an HTML comment before it, if it cannot run in tests."""

    line: int
    language: str
    text: str
    not_run: str | None


class Page:
    """One Markdown file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path.relative_to(ROOT))
        self.text = path.read_text(encoding="utf-8")

    @cached_property
    def tokens(self) -> list[Token]:
        """All tokens of the page, in order."""
        return MarkdownIt("commonmark").enable("table").parse(self.text)

    @cached_property
    def blocks(self) -> list[Block]:
        """All fenced blocks."""
        found = []
        for before, token in zip([None, *self.tokens], self.tokens, strict=False):
            if token.type == "fence":
                comment = NOT_RUN.fullmatch(before.content) if before and before.type == "html_block" else None
                line = token.map[0] + 1 if token.map else 0
                found.append(Block(line, token.info.strip(), token.content, comment["reason"] if comment else None))
        return found

    @cached_property
    def inline(self) -> list[Token]:
        """All tokens inside paragraphs, headings and table cells."""
        return [child for token in self.tokens for child in token.children or ()]

    @cached_property
    def links(self) -> list[str]:
        """The targets of all links and images."""
        return [
            str(token.attrs["href" if token.type == "link_open" else "src"])
            for token in self.inline
            if token.type in ("link_open", "image")
        ]

    @cached_property
    def code(self) -> list[str]:
        """All code, inline and in blocks."""
        return [token.content for token in self.inline if token.type == "code_inline"] + [b.text for b in self.blocks]

    @cached_property
    def anchors(self) -> set[str]:
        """All valid fragments: headings, as GitHub names them, and explicit anchors."""
        return {*self._headings(), *_ANCHOR.findall(self.text)}

    def _headings(self) -> Iterator[str]:
        seen: dict[str, int] = {}
        for token, inside in zip(self.tokens, self.tokens[1:], strict=False):
            if token.type == "heading_open":
                slug = slug_of("".join(child.content for child in inside.children or ()))
                seen[slug] = seen.get(slug, 0) + 1
                yield slug if seen[slug] == 1 else f"{slug}-{seen[slug] - 1}"


def slug_of(heading: str) -> str:
    """Return the fragment that GitHub gives a heading."""
    slug = "".join(character for character in heading.lower() if character.isalnum() or character in " -_")
    return slug.replace(" ", "-")


def all_pages() -> list[Page]:
    """Read every page: those at the root, and those under docs/."""
    return [Page(path) for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])]
