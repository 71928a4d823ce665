"""Fixtures for the command: a complete gateway on this machine, and an empty home."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.local.command import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typer.testing import Result

ADMIN_KEY, USER_KEY = "cli-admin-key-0123", "cli-user-key-01234"
VARIABLES = ("URL", "API_KEY", "TOKEN", "PROFILE")


@dataclass(frozen=True)
class Gateway:
    """A running gateway with ADMIN_KEY and USER_KEY."""

    url: str
    data_dir: Path


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Start a gateway for all tests of the command."""
    folder = tmp_path_factory.mktemp("gateway")
    run = GatewayProcess(
        folder / "output",
        DATA_DIR=str(folder / "data"),
        API_KEYS=f"{ADMIN_KEY}:admin,{USER_KEY}:user",
        WEBHOOK_ALLOW_HTTP="true",
        WEBHOOK_ALLOW_LOOPBACK="true",
    )
    try:
        yield Gateway(run.up(), folder / "data")
    finally:
        run.end()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set an empty home and working folder, and unset variables that select a gateway; return the folder."""
    for name in VARIABLES:
        monkeypatch.delenv(f"COMFYUI_GATEWAY_{name}", raising=False)
    for name in ("TABLE_NAME", "WEBHOOK_QUEUE_URL", "DATA_DIR", "HIGH_QUEUE_URL", "NORMAL_QUEUE_URL", "LOW_QUEUE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def run(*arguments: str, stdin: str | None = None) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, arguments, input=stdin)


@pytest.fixture
def command(gateway: Gateway, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:  # noqa: ARG001  where it runs
    """Run the command as an admin of the gateway."""
    monkeypatch.setenv("COMFYUI_GATEWAY_URL", gateway.url)
    monkeypatch.setenv("COMFYUI_GATEWAY_API_KEY", ADMIN_KEY)
    return run


def assert_refused(result: Result, code: int, *parts: str) -> None:
    """Check that a command failed with this code: one line on stderr with these parts, nothing on stdout."""
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("comfyui-gateway: ")
    for part in parts:
        assert part in result.stderr
