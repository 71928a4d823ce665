"""The folder of local mode's data: which formats of records it accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.errors import SettingsInvalidError
from local.data_dir import DataDir

if TYPE_CHECKING:
    from pathlib import Path

CURRENT = "3"


def write_data(path: Path, data_format: str | None) -> None:
    """Create a folder with stored tables, as a run of a release with that format leaves it."""
    (path / "aws").mkdir()
    (path / "aws" / "tables").touch()
    if data_format is not None:
        (path / "format").write_text(data_format, encoding="utf-8")


def test_a_new_folder_has_the_current_format(tmp_path: Path) -> None:
    """So that an earlier release refuses to read it."""
    with DataDir(tmp_path):
        assert (tmp_path / "format").read_text(encoding="utf-8") == CURRENT


@pytest.mark.parametrize("data_format", ["2", CURRENT])
def test_a_readable_format_is_accepted_and_marked_as_current(tmp_path: Path, data_format: str) -> None:
    """The run writes records that a release with the earlier format cannot read."""
    write_data(tmp_path, data_format)
    with DataDir(tmp_path):
        assert (tmp_path / "format").read_text(encoding="utf-8") == CURRENT


@pytest.mark.parametrize("data_format", [None, "1", "4"])
def test_an_unreadable_format_is_refused(tmp_path: Path, data_format: str | None) -> None:
    """In one line, without a change to the folder, and the folder is not locked any more."""
    write_data(tmp_path, data_format)
    for _ in range(2):
        with pytest.raises(SettingsInvalidError, match="another release") as caught:
            DataDir(tmp_path)
        assert "\n" not in caught.value.message
    marker = tmp_path / "format"
    assert (marker.read_text(encoding="utf-8") if marker.exists() else None) == data_format
