"""The API under thousands of made-up requests, good and bad, alone and in sequences, made from its own document."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.command import Run

CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.parametrize("key", ["admin-key", "user-key"])
def test_no_request_gets_an_answer_that_is_not_documented(start: Callable[..., Run], tmp_path: Path, key: str) -> None:
    """No 5xx, and no status, header, content type or body that the document does not have, for either role."""
    running = start("--ephemeral", TMPDIR=str(tmp_path), API_KEYS="admin-key:admin,user-key:user", RATE_LIMIT_MAX="0")
    url = running.up()
    command: list[str | Path] = [
        Path(sys.executable).with_name("schemathesis"),
        "--config-file",
        CONFIG,
        "run",
        f"{url}/openapi.json",
    ]
    ran = subprocess.run(  # noqa: S603  no input
        [*command, "--header", f"X-API-Key: {key}", "--no-color"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr
