"""`.env`: names that nothing reads, and invalid values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cli import env_settings
from tests.cli.conftest import run
from tests.local.command import free_port

if TYPE_CHECKING:
    from pathlib import Path


def test_an_unknown_name_is_reported_with_the_likely_one() -> None:
    """Settings, and variables of AWS, HTTP clients and this command, are known."""
    known = {"PORT": "1", "LEASE_SECONDS": "30", "WEBHOOK_SECRET": "x", "AWS_PROFILE": "a", "https_proxy": "b"}
    known |= {"COMFYUI_GATEWAY_URL": "c", "NO_COLOR": "1"}
    assert env_settings.unknown_names(known) == []
    (close,) = env_settings.unknown_names({**known, "COMFY_UI_URL": "http://x"})
    assert "COMFY_UI_URL" in close
    assert "COMFYUI_URL?" in close
    (strange,) = env_settings.unknown_names({"SOMETHING": "1"})
    assert "?" not in strange


def test_each_invalid_value_is_reported_once_without_the_value() -> None:
    """Though several hosts read the same setting; what a deployment provides is not missed."""
    assert env_settings.invalid_values({"PORT": "3000", "COMFYUI_URL": "http://127.0.0.1:8188"}) == []
    found = env_settings.invalid_values({"PORT": "s3cret", "RETENTION_DAYS": "-1", "LOG_LEVEL": "s3cret"})
    assert sorted(each.partition(":")[0] for each in found) == ["LOG_LEVEL", "PORT", "RETENTION_DAYS"]
    assert "s3cret" not in str(found)


def test_doctor_reports_each_line(home: Path) -> None:
    """An invalid value is a problem, and an unknown name a warning; a file that cannot be parsed is a problem."""
    (home / ".env").write_text("PORT=many\nPROT=3000\nSOMETHING=1\n")
    arguments = ("doctor", "--json", "--url", f"http://127.0.0.1:{free_port()}")
    found = json.loads(run(*arguments).stdout)["findings"]
    assert [each["state"] for each in found if each["what"] == "settings"] == ["problem", "warning", "warning"]
    (home / ".env").write_text("a line\n")
    found = json.loads(run(*arguments).stdout)["findings"]
    assert [each["state"] for each in found if each["what"] == "settings"] == ["problem"]


def test_run_warns_of_a_name_and_stops_at_a_value(home: Path) -> None:
    """One line each; the invalid value is the error."""
    (home / ".env").write_text("PORT=many\nPROT=3000\n")
    result = run("run")
    warning, error = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (1, "")
    assert warning.startswith("comfyui-gateway: warning: .env: PROT ")
    assert error.startswith("comfyui-gateway: .env: PORT: ")


@pytest.mark.usefixtures("home")
def test_run_names_the_option_of_an_invalid_value() -> None:
    """Not the setting; the command line is invalid."""
    result = run("run", "--port", "abc")
    assert result.exit_code == 2
    assert result.stderr.startswith("comfyui-gateway: --port: must be a number")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("RETENTION_DAYS", "x", "a whole number"),
        ("RETENTION_DAYS", "0", "at least 1"),
        ("SHUTDOWN_GRACE_SECONDS", "x", "a number"),
    ],
)
def test_reasons_are_in_plain_words(name: str, value: str, reason: str) -> None:
    """Without pydantic's terms."""
    assert env_settings.invalid_values({name: value}) == [f"{name}: must be {reason}"]
