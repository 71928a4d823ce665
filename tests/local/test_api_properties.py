"""The API under thousands of generated requests, valid and invalid, alone and in sequences, from its own document."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.local.command import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a gateway with a key per role; return its address."""
    folder = tmp_path_factory.mktemp("properties")
    keys = "key-of-an-admin-0:admin,key-of-a-user-012:user"
    run = GatewayProcess(folder / "output", "--ephemeral", TMPDIR=str(folder), API_KEYS=keys, RATE_LIMIT_MAX="0")
    yield run.up()
    assert run.end() == 0


@pytest.mark.parametrize("key", ["key-of-an-admin-0", "key-of-a-user-012"])
def test_every_response_is_documented(url: str, tmp_path: Path, key: str) -> None:
    """No 5xx, and no status, header, content type or body that the API document does not have, for either role."""
    command: list[str | Path] = [
        Path(sys.executable).with_name("schemathesis"),
        "--config-file",
        CONFIG,
        "run",
        f"{url}/openapi.json",
        # With a relative server, Schemathesis takes unknown query parameters for invalid ones.
        "--url",
        url,
    ]
    ran = subprocess.run(  # noqa: S603  no input
        [*command, "--header", f"X-API-Key: {key}", "--no-color"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr
