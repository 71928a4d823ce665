"""`comfyui-gateway init`: the files that it writes, and those that it must not replace."""

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
    """Return the path of a profile."""
    return home.parent / "config" / "comfyui-gateway" / f"{name}.env"


def test_a_gateway_is_set_up_here(home: Path) -> None:
    """Valid settings for local mode, and a profile with the same key. Only the owner can read both files."""
    result = run("init", "--here", "--comfyui-url", "http://10.0.0.7:8188", "--port", "3007")
    assert result.exit_code == 0, result.output
    file = home / ".env"
    settings = LocalSettings.from_environment(env_file.read(file) or {})
    assert (settings.comfyui_url, settings.port) == ("http://10.0.0.7:8188", 3007)
    key = settings.api_keys.removesuffix(":admin")
    stored = env_file.read(profile(home))
    assert stored == {"COMFYUI_GATEWAY_URL": "http://127.0.0.1:3007", "COMFYUI_GATEWAY_API_KEY": key}
    assert {path.stat().st_mode & 0o777 for path in (file, profile(home))} == {0o600}
    assert key not in result.output
    assert file.read_text().count("\n# ") > 5


def test_existing_files_are_not_replaced(home: Path) -> None:
    """If one of the files exists, neither changes; --force replaces both."""
    (home / ".env").write_text("MINE=1\n")
    assert_refused(run("init", "--here"), 3, ".env already exists", "--force")
    assert (home / ".env").read_text() == "MINE=1\n"
    assert not profile(home).exists()
    result = run("init", "--here", "--force", "--no-key", "--json")
    assert json.loads(result.stdout) == {"written": [".env"]}
    assert "API_KEYS" not in (env_file.read(home / ".env") or {})
    assert (home / ".env").stat().st_mode & 0o777 == 0o600


def test_the_error_for_a_second_gateway_suggests_another_profile(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replacing the first profile would lose its key."""
    assert run("init", "--here").exit_code == 0
    before = profile(home).read_text()
    (home / "second").mkdir()
    monkeypatch.chdir(home / "second")
    assert_refused(run("init", "--here"), 3, "default.env already exists", "--profile NAME")
    assert run("init", "--here", "--profile", "second").exit_code == 0
    assert profile(home).read_text() == before


def test_a_profile_for_a_remote_gateway(gateway: Gateway, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is taken from the environment; afterwards the profile is enough."""
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


def test_run_uses_the_written_settings(home: Path, tmp_path: Path) -> None:
    """From an empty folder to a job: the gateway requires the generated key. Variables override .env."""
    assert run("init", "--here").exit_code == 0
    port = free_port()
    with_env = GatewayProcess(tmp_path / "output", "--ephemeral", PORT=str(port))
    try:
        url = with_env.up()
        assert url.endswith(f":{port}")
        assert requests.get(f"{url}/jobs", timeout=10).status_code == 401
        stored = env_file.read(profile(home)) or {}
        result = run(
            "submit",
            "icon_512",
            "-i",
            "prompt=x",
            "--wait",
            "--url",
            url,
            "--api-key",
            stored["COMFYUI_GATEWAY_API_KEY"],
        )
        assert result.exit_code == 0, result.output
    finally:
        with_env.end()
