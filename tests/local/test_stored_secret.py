from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.errors import SettingsInvalidError
from local.stored_secret import stored_secret

if TYPE_CHECKING:
    from pathlib import Path


def test_a_secret_is_generated_once(tmp_path: Path) -> None:
    """It stays the same, and only its owner can read the file."""
    file = tmp_path / "secret"
    first = stored_secret(file, prefix="whsec_")
    assert first.startswith("whsec_")
    assert stored_secret(file, prefix="whsec_") == first
    assert file.stat().st_mode & 0o077 == 0
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    """An empty secret would count as none, and nothing would be signed with it."""
    file = tmp_path / "secret"
    file.write_text("\n")
    with pytest.raises(SettingsInvalidError, match="is empty"):
        stored_secret(file)
