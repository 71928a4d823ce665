"""`comfyui-gateway init`: what it writes, and what it leaves alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import requests

from cli import env_file
from gateway.settings import LocalSettings
from tests.cli.conftest import ADMIN_KEY, Gateway, assert_refused, run
from tests.local.command import GatewayProcess, free_port

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def profile(home: Path, name: str = "default") -> Path:
    """Name a profile's file."""
    return home.parent / "config" / "comfyui-gateway" / f"{name}.env"


def test_a_gateway_is_set_up_here(home: Path) -> None:
    """Settings that local mode takes, and a profile with the key that they have; both for the owner's eyes only."""
    result = run("init", "--here", "--comfyui-url", "http://10.0.0.7:8188", "--port", "3007")
    assert result.exit_code == 0, result.output
    file = home / ".env"
    settings = LocalSettings.from_environment(env_file.read(file) or {})
    assert (settings.comfyui_url, settings.port) == ("http://10.0.0.7:8188", 3007)
    key = settings.api_keys.removesuffix(":admin")
    kept = env_file.read(profile(home))
    assert kept == {"COMFYUI_GATEWAY_URL": "http://127.0.0.1:3007", "COMFYUI_GATEWAY_API_KEY": key}
    assert {path.stat().st_mode & 0o777 for path in (file, profile(home))} == {0o600}
    assert key not in result.output
    assert file.read_text().count("\n# ") > 5


def test_what_is_there_is_not_replaced_unasked(home: Path) -> None:
    """Neither file changes when one of them is there; --force replaces both."""
    (home / ".env").write_text("MINE=1\n")
    assert_refused(run("init", "--here"), 3, ".env already exists", "--force")
    assert (home / ".env").read_text() == "MINE=1\n"
    assert not profile(home).exists()
    result = run("init", "--here", "--force", "--no-key", "--json")
    assert json.loads(result.stdout) == {"written": [".env"]}
    assert "API_KEYS" not in (env_file.read(home / ".env") or {})
    assert (home / ".env").stat().st_mode & 0o777 == 0o600


def test_the_error_for_a_second_gateway_suggests_another_profile(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replacing the first one's profile would lose its key: another profile is offered."""
    assert run("init", "--here").exit_code == 0
    kept = profile(home).read_text()
    (home / "second").mkdir()
    monkeypatch.chdir(home / "second")
    assert_refused(run("init", "--here"), 3, "default.env already exists", "--profile NAME")
    assert run("init", "--here", "--profile", "second").exit_code == 0
    assert profile(home).read_text() == kept


def test_a_profile_for_a_gateway_elsewhere(gateway: Gateway, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key comes from the environment, and the profile suffices from then on."""
    monkeypatch.setenv("COMFYUI_GATEWAY_API_KEY", ADMIN_KEY)
    assert run("init", "--url", gateway.url + "/", "--profile", "test").exit_code == 0
    monkeypatch.delenv("COMFYUI_GATEWAY_API_KEY")
    assert run("jobs", "list", "--profile", "test").exit_code == 0
    assert ADMIN_KEY in profile(home, "test").read_text()
    assert_refused(run("init", "--url", gateway.url, "--profile", "test"), 3, "--force")


def test_contradictory_options_are_refused(home: Path) -> None:
    """Before anything is written."""
    assert_refused(run("init"), 2, "--here or --url")
    assert_refused(run("init", "--here", "--url", "http://x.example"), 2, "--here", "--url")
    assert_refused(run("init", "--url", "x.example"), 2, "URL", "http://127.0.0.1:3000")
    assert_refused(run("init", "--here", "--comfyui-url", "x.example"), 2, "--comfyui-url must be", ":8188")
    assert_refused(run("init", "--here", "--port", "0"), 2, "--port")
    assert_refused(run("init", "--url", "http://x.example", "--profile", "../x"), 2, "profile")
    assert list(home.iterdir()) == []


def test_run_reads_what_was_written(home: Path, tmp_path: Path) -> None:
    """From an empty folder to a job: the key in .env is asked for, and the profile has it. The environment wins."""
    assert run("init", "--here").exit_code == 0
    port = free_port()
    with_env = GatewayProcess(tmp_path / "output", "--ephemeral", PORT=str(port))
    try:
        url = with_env.up()
        assert url.endswith(f":{port}")
        assert requests.get(f"{url}/jobs", timeout=10).status_code == 401
        kept = env_file.read(profile(home)) or {}
        result = run(
            "submit", "icon_512", "-i", "prompt=x", "--wait", "--url", url, "--api-key", kept["COMFYUI_GATEWAY_API_KEY"]
        )
        assert result.exit_code == 0, result.output
    finally:
        with_env.end()
