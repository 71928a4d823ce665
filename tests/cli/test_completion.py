"""Shell completion of ids and names."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.cli.conftest import run
from tests.cli.test_job_ids import FIRST, OTHER, page, returns
from tests.local.command import free_port
from tests.webhooks.receiver import Receiver, hangs
from tools.api_docs import examples

if TYPE_CHECKING:
    from typer.testing import Result


def completed(words: str, shell: str = "bash", **variables: str) -> Result:
    """Complete a command line, as the shell's script does."""
    count = len(words.split(" ")) - 1
    environment = {"COMP_WORDS": words, "COMP_CWORD": str(count), "_TYPER_COMPLETE_ARGS": words, **variables}
    environment["_COMFYUI_GATEWAY_COMPLETE"] = f"complete_{shell}"
    return CliRunner().invoke(app, [], env=environment, prog_name="comfyui-gateway")


@pytest.mark.usefixtures("home")
def test_job_ids_are_completed() -> None:
    """From the gateway on the command line, with credentials from the environment."""
    with Receiver(page(FIRST, OTHER)) as receiver:
        url = f"http://127.0.0.1:{receiver.port}"
        result = completed(f"comfyui-gateway jobs show --url {url} 3f", COMFYUI_GATEWAY_API_KEY="s3cret")
        assert receiver.received[0].headers["x-api-key"] == "s3cret"
    assert result.stdout.split() == [FIRST]
    assert "s3cret" not in result.output


@pytest.mark.usefixtures("home")
def test_workflow_ids_are_completed() -> None:
    """Names from the gateway are sanitized, because zsh evaluates completions."""
    head: Any = examples.WORKFLOW_HEAD
    workflows = [{**head, "id": "icon", "name": 'Icon $(touch x) `id` "'}, {**head, "id": "$(rm)", "name": ""}]
    with Receiver(returns({"workflows": workflows, "count": 2})) as receiver:
        url = f"http://127.0.0.1:{receiver.port}"
        result = completed("comfyui-gateway submit ", "zsh", COMFYUI_GATEWAY_URL=url)
    assert '"icon":"Icon touch x id"' in result.stdout
    assert not {"$", "`"} & {*result.stdout}
    assert "rm" not in result.stdout


@pytest.mark.usefixtures("home")
def test_names_of_keys_are_completed(aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without revoked keys. The command accepts a name, unless several keys have it."""
    for name, value in aws.items():
        monkeypatch.setenv(name, value)
    for name in ("shop", "shelf", "twice", "twice"):
        assert run("keys", "create", "--name", name).exit_code == 0
    assert run("keys", "revoke", "shelf").exit_code == 0
    assert completed("comfyui-gateway keys revoke sh").stdout.split() == ["shop"]
    assert run("keys", "revoke", "shelf").exit_code == 5
    assert run("keys", "revoke", "twice").exit_code == 2


@pytest.mark.usefixtures("home")
def test_a_failure_is_silent_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No gateway, one that does not respond, an invalid profile: nothing is offered, and nothing is printed."""
    monkeypatch.setattr("cli.completion._MAX_SECONDS", 0.3)
    with Receiver(hangs()) as receiver:
        for url in (f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{receiver.port}", "nonsense"):
            started_at = time.monotonic()
            result = completed("comfyui-gateway jobs show ", COMFYUI_GATEWAY_URL=url)
            assert (result.exit_code, result.output.strip()) == (0, "")
            assert time.monotonic() - started_at < 3
    assert completed("comfyui-gateway jobs show ", COMFYUI_GATEWAY_PROFILE="missing").output.strip() == ""
