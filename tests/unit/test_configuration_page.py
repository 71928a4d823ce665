"""The page on configuration and the settings say the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.settings import ApiSettings, BackgroundSettings, ExecutorSettings, LocalSettings

if TYPE_CHECKING:
    from pydantic import BaseModel

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
README = PAGE.parents[1] / "README.md"
READERS: dict[str, type[BaseModel]] = {
    "functions": ApiSettings,
    "background": BackgroundSettings,
    "executor": ExecutorSettings,
    "local": LocalSettings,
}
ROW = re.compile(r"\| `([A-Z0-9_]+)` \| (.*?) ?\| (.+?) \| (.+) \|")


@dataclass(frozen=True)
class Row:
    """One setting as the page has it."""

    name: str
    default: str
    readers: list[str]


def rows() -> list[Row]:
    """Read the page's one table of settings."""
    found = [ROW.fullmatch(line) for line in PAGE.read_text(encoding="utf-8").splitlines()]
    return [Row(match[1], match[2], match[3].split(", ")) for match in found if match]


def shown_default(name: str, readers: list[str]) -> set[str]:
    """Write the default as the page does, for each of the readers; what is empty is not shown."""
    fields = [READERS[reader].model_fields[name.lower()] for reader in readers]
    return {
        "required"
        if field.is_required()
        else ""
        if field.default in (None, "", ())
        else f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
        for field in fields
    }


@pytest.mark.parametrize("reader", READERS)
def test_the_page_has_every_setting(reader: str) -> None:
    """It names what each host reads, and nothing that it does not."""
    on_page = [row.name for row in rows() if reader in row.readers]
    assert sorted(on_page) == sorted(name.upper() for name in READERS[reader].model_fields)


def test_no_setting_is_there_twice() -> None:
    """One row for each, and no reader that there is not."""
    names = [row.name for row in rows()]
    assert len(names) == len(set(names)) > 20
    assert {reader for row in rows() for reader in row.readers} == set(READERS)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_the_page_has_the_defaults(row: Row) -> None:
    """A default that changes has to change on the page too."""
    assert shown_default(row.name, row.readers) == {row.default}


def test_the_readme_has_the_same_defaults() -> None:
    """Of the few settings that it names, in a table of its own."""
    table = re.findall(
        r"^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) \| (`.+?) \|", README.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    allowed = {
        name: default
        for names, defaults in table
        for name, default in zip(names.split(", "), defaults.split(", "), strict=True)
    }
    assert len(allowed) > 3
    for name, default in allowed.items():
        field = LocalSettings.model_fields[name.strip("`").lower()]
        assert default == f"`{field.default}`", name


def test_what_is_replaced_is_no_setting() -> None:
    """The page's list of replaced variables has none that still works."""
    _, _, replaced = PAGE.read_text(encoding="utf-8").partition("These are replaced")
    names = re.findall(r"^\| `([A-Z_0-9]+)` \|", replaced, flags=re.MULTILINE)
    assert {"DATABASE_URL", "REDIS_URL", "STORAGE_PROVIDER"} <= set(names)
    assert not set(names) & {row.name for row in rows()}
