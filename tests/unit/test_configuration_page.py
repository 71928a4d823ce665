"""docs/configuration.md lists every setting with its default."""

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
    """One row of the page's table of settings."""

    name: str
    default: str
    readers: list[str]


def rows() -> list[Row]:
    """Parse the page's table of settings."""
    found = [ROW.fullmatch(line) for line in PAGE.read_text(encoding="utf-8").splitlines()]
    return [Row(match[1], match[2], match[3].split(", ")) for match in found if match]


def shown_default(name: str, readers: list[str]) -> set[str]:
    """Return how the page must show the default of each reader; an empty default is not shown."""
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
    """For each reader, it names exactly the settings that this reader has."""
    on_page = [row.name for row in rows() if reader in row.readers]
    assert sorted(on_page) == sorted(name.upper() for name in READERS[reader].model_fields)


def test_each_setting_has_one_row() -> None:
    """No setting is listed twice, and every reader exists."""
    names = [row.name for row in rows()]
    assert len(names) == len(set(names)) > 20
    assert {reader for row in rows() for reader in row.readers} == set(READERS)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_the_page_has_the_defaults(row: Row) -> None:
    """The page shows the default of the code."""
    assert shown_default(row.name, row.readers) == {row.default}


def test_the_readme_has_the_same_defaults() -> None:
    """The README shows the same defaults for the settings that it lists."""
    table = re.findall(
        r"^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) \| (`.+?) \|", README.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    shown = {
        name: default
        for names, defaults in table
        for name, default in zip(names.split(", "), defaults.split(", "), strict=True)
    }
    assert len(shown) > 3
    for name, default in shown.items():
        field = LocalSettings.model_fields[name.strip("`").lower()]
        assert default == f"`{field.default}`", name


def test_replaced_variables_are_not_settings() -> None:
    """No variable of the migration table still works."""
    _, _, replaced = PAGE.read_text(encoding="utf-8").partition("These are replaced")
    names = re.findall(r"^\| `([A-Z_0-9]+)` \|", replaced, flags=re.MULTILINE)
    assert {"DATABASE_URL", "REDIS_URL", "STORAGE_PROVIDER"} <= set(names)
    assert not set(names) & {row.name for row in rows()}
