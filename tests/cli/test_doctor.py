"""`comfyui-gateway doctor`: what it finds, and what it says to do."""

from __future__ import annotations

import json
import os
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from cli import env_file
from tests.cli.conftest import ADMIN_KEY, USER_KEY, Gateway, run
from tests.local.command import free_port
from tests.webhooks.receiver import Receiver, responds
from tools.api_docs import examples

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from typer.testing import Result

    from tests.webhooks.receiver import Behavior


def findings(result: Result) -> dict[str, tuple[str, str]]:
    """Read what was found: state and message, by what was looked at. Whatever is not good has its advice."""
    found = json.loads(result.stdout)["findings"]
    assert all(each["advice"] for each in found if each["state"] in ("problem", "warning"))
    assert (result.exit_code == 0) == json.loads(result.stdout)["ok"]
    return {each["what"]: (each["state"], each["message"]) for each in found}


def gateway_that_says(**bodies: Any) -> Behavior:  # noqa: ANN401  JSON
    """Answer each path with its body; `health` for /health, and so on. `date`: what its clock says."""
    date = bodies.pop("date", time.time())

    def answer(receiver: Receiver, connection: socket.socket) -> None:
        path = receiver.received[-1].line.split()[1].partition("?")[0].strip("/")
        body = bodies.get(path.partition("/")[0] if path not in bodies else path, {})
        status = 200
        if callable(body):
            status, body = body(path)
        responds(
            status,
            "Content-Type: application/json",
            f"Date: {formatdate(date, usegmt=True)}",
            body=json.dumps(body).encode(),
        )(receiver, connection)

    return answer


def refusal(_path: str) -> tuple[int, Mapping[str, Any]]:
    """Say that only admins may."""
    return 403, {"error": "FORBIDDEN", "message": "No.", "details": None, "retryable": False, "correlationId": "c"}


def allowed(**bodies: Any) -> dict[str, tuple[str, str]]:  # noqa: ANN401  JSON
    """Let doctor look at a gateway that says this."""
    said = {
        "health": examples.HEALTH_SIGNED_IN,
        "audit": examples.AUDIT_LIST,
        "capabilities": examples.CAPABILITIES,
        "workflows": {"workflows": [], "count": 0},
        **bodies,
    }
    with Receiver(gateway_that_says(**said)) as receiver:
        url = f"http://127.0.0.1:{receiver.port}"
        return findings(run("doctor", "--json", "--url", url, "--api-key", "k"))


def test_a_gateway_that_is_well(
    gateway: Gateway, command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is looked at, the table and the queues too, and a receiver that was named; the end is 0."""
    for name, value in (env_file.read(gateway.data_dir / "environment") or {}).items():
        monkeypatch.setenv(name, value)
    with Receiver(responds(204)) as receiver:
        found = findings(command("doctor", "--json", "--webhook", receiver.url))
    assert {state for state, _ in found.values()} == {"ok"}
    assert {"gateway", "clock", "credentials", "models", "webhooks", "table", "queue normal"} <= set(found)
    assert found["credentials"][1] == "valid, with the role admin"
    shown = command("doctor")
    assert (shown.exit_code, shown.stderr) == (0, "No problem found.\n")
    assert "→" not in shown.stdout.replace("skipped", "")


def test_a_receiver_that_does_not_take_it(command: Callable[..., Result]) -> None:
    """Is a problem, with what it answered; so is an address where webhooks may not go."""
    with Receiver(responds(500)) as receiver:
        result = command("doctor", "--json", "--webhook", receiver.url)
    assert result.exit_code == 1
    assert findings(result)["webhooks"][0] == "problem"
    assert "500" in findings(result)["webhooks"][1]
    assert findings(command("doctor", "--json", "--webhook", "http://10.0.0.1/"))["webhooks"][0] == "problem"


def test_the_role_of_the_credentials_is_reported(
    command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a bad key, or none, is a problem."""
    monkeypatch.setenv("COMFYUI_GATEWAY_API_KEY", USER_KEY)
    assert findings(command("doctor", "--json"))["credentials"] == ("ok", "valid, with the role user")
    monkeypatch.setenv("COMFYUI_GATEWAY_API_KEY", "wrong")
    assert findings(command("doctor", "--json"))["credentials"] == ("problem", "Invalid API key")
    monkeypatch.delenv("COMFYUI_GATEWAY_API_KEY")
    assert findings(command("doctor", "--json"))["credentials"] == ("problem", "the gateway requires credentials")
    found = findings(command("doctor", "--json", "--token", "a-jwt"))
    assert found["credentials"] == ("problem", "the gateway accepts no tokens")


def test_a_profile_that_others_can_read(gateway: Gateway, home: Path) -> None:
    """Is found; every command says in one line on stderr what to run, and works all the same."""
    file = home.parent / "config" / "comfyui-gateway" / "default.env"
    text = env_file.line("COMFYUI_GATEWAY_URL", gateway.url) + env_file.line("COMFYUI_GATEWAY_API_KEY", ADMIN_KEY)
    env_file.write(file, text, replace=False)
    assert run("workflows", "list").stderr == ""
    file.chmod(0o640)
    result = run("workflows", "list")
    assert (result.exit_code, len(result.stderr.splitlines())) == (0, 1)
    assert f"chmod 600 {file}" in result.stderr
    assert findings(run("doctor", "--json"))["profile"] == ("warning", f"other users can read the API key in {file}")


def test_a_region_that_is_missing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice is about that, and not about rights."""
    del home
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    result = run("doctor", "--stage", "prod", "--url", f"http://127.0.0.1:{free_port()}")
    assert "problem aws  AWS_REGION: is not set" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("→ Set AWS_REGION to the region of the deployment.")


def test_an_unreachable_gateway_is_one_problem(home: object) -> None:
    """That is the one problem; in words, each finding has its advice below it."""
    del home
    port = free_port()
    result = run("doctor", "--url", f"http://127.0.0.1:{port}")
    assert result.exit_code == 1
    assert "problem gateway" in result.stdout
    assert result.stdout.count("comfyui-gateway run") == result.stdout.count(f":{port}") == 1
    assert result.stderr.endswith("1 problem found.\n")


@pytest.mark.usefixtures("home")
def test_executors_and_their_comfyuis() -> None:
    """None at all, and one whose ComfyUI does not answer."""
    none = allowed(health={**examples.HEALTH_SIGNED_IN, "executors": []})
    assert none["executors"][0] == "problem"
    (executor,) = examples.HEALTH_SIGNED_IN["executors"]
    deaf: Any = {**executor, "comfyui": {**executor["comfyui"], "reachable": False, "device": None}}
    found = allowed(health={**examples.HEALTH_SIGNED_IN, "executors": [deaf]})
    assert found["comfyui of gpu-1:17"][0] == "problem"
    assert "http://10.0.4.17:8188" in found["comfyui of gpu-1:17"][1]


@pytest.mark.usefixtures("home")
def test_models_that_are_missing() -> None:
    """By the name that the graph has, or the default of its input; a required input is not a problem."""
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "{{checkpoint}}"}},
        "2": {"class_type": "LoraLoader", "inputs": {"lora_name": "there.safetensors"}},
        "3": {"class_type": "VAELoader", "inputs": {"vae_name": "{{vae}}"}},
        "4": {"class_type": "VAELoader", "inputs": {"vae_name": ["1", 2]}},
    }
    schema = {"properties": {"checkpoint": {"default": "gone.safetensors"}, "vae": {"type": "string"}}}
    workflow = {**examples.WORKFLOW["workflow"], "id": "w", "workflowJson": graph, "inputSchema": schema}
    head = {**examples.WORKFLOW_HEAD, "id": "w"}
    found = allowed(
        **{"workflows/w": {"workflow": workflow}},
        workflows={"workflows": [head], "count": 1},
        capabilities={**examples.CAPABILITIES, "models": {"checkpoints": ["a.ckpt"], "loras": ["there.safetensors"]}},
    )
    assert found["models of w"] == ("problem", "no ComfyUI has gone.safetensors in checkpoints")
    assert "models" not in found


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(("ahead", "state"), [(0, "ok"), (-60, "warning"), (3600, "problem")])
def test_clocks_that_differ(ahead: int, state: str) -> None:
    """By how much, and which one is ahead."""
    found = allowed(date=time.time() + ahead)
    assert found["clock"][0] == state
    assert ("behind" in found["clock"][1]) == (ahead > 0)


@pytest.mark.usefixtures("home")
def test_a_gateway_of_another_version() -> None:
    """The credentials of a user are valid; the checks of AWS are skipped if nothing names its resources."""
    found = allowed(health={**examples.HEALTH_SIGNED_IN, "version": "99.0"}, audit=refusal)
    assert found["gateway"][0] == "warning"
    assert found["credentials"] == ("ok", "valid, with the role user")
    assert found["aws"][0] == found["webhooks"][0] == "skipped"


def test_queues_that_gave_up(aws: dict[str, str], home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead letters are a warning, with the command that shows them; a table that is not there is a problem."""
    del home
    from gateway.aws.clients import Clients  # noqa: PLC0415  after the environment is set

    for name, value in aws.items():
        monkeypatch.setenv(name, value)
    Clients().sqs.send_message(QueueUrl=f"{aws['WEBHOOK_QUEUE_URL']}-dead", MessageBody="{}")
    found = allowed()
    assert found["table"][0] == "ok"
    assert found["queue webhooks"] == ("warning", "1 dead letters")
    monkeypatch.setenv("TABLE_NAME", "gone")
    assert allowed()["aws"][0] == "problem"
