"""`comfyui-gateway doctor`: its findings and its advice."""

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
    """Return state and message of each finding by its subject. Warnings and problems must have advice."""
    found = json.loads(result.stdout)["findings"]
    assert all(each["advice"] for each in found if each["state"] in ("problem", "warning"))
    assert (result.exit_code == 0) == json.loads(result.stdout)["ok"]
    return {each["what"]: (each["state"], each["message"]) for each in found}


def fake_gateway(**bodies: Any) -> Behavior:  # noqa: ANN401  JSON
    """Respond to each path with its body; `health` for /health, and so on. `date`: the time of its clock."""
    date = bodies.pop("date", time.time())

    def respond(receiver: Receiver, connection: socket.socket) -> None:
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

    return respond


def forbidden(_path: str) -> tuple[int, Mapping[str, Any]]:
    """Respond as to a user who is not an admin."""
    return 403, {"error": "FORBIDDEN", "message": "No.", "details": None, "retryable": False, "correlationId": "c"}


def findings_of_gateway(**bodies: Any) -> dict[str, tuple[str, str]]:  # noqa: ANN401  JSON
    """Run doctor with a gateway that returns these bodies; return its findings."""
    responses = {
        "health": examples.HEALTH_SIGNED_IN,
        "audit": examples.AUDIT_LIST,
        "capabilities": examples.CAPABILITIES,
        "workflows": {"workflows": [], "count": 0},
        **bodies,
    }
    with Receiver(fake_gateway(**responses)) as receiver:
        url = f"http://127.0.0.1:{receiver.port}"
        return findings(run("doctor", "--json", "--url", url, "--api-key", "k"))


def test_a_healthy_gateway(gateway: Gateway, command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is checked, including table, queues and a given receiver. The exit code is 0."""
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


def test_a_failing_webhook_receiver(command: Callable[..., Result]) -> None:
    """It is a problem, with the status of its response. So is a URL that is not allowed."""
    with Receiver(responds(500)) as receiver:
        result = command("doctor", "--json", "--webhook", receiver.url)
    assert result.exit_code == 1
    assert findings(result)["webhooks"][0] == "problem"
    assert "500" in findings(result)["webhooks"][1]
    assert findings(command("doctor", "--json", "--webhook", "http://10.0.0.1/"))["webhooks"][0] == "problem"


def test_the_role_of_the_credentials_is_reported(
    command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invalid or missing key is a problem."""
    monkeypatch.setenv("COMFYUI_GATEWAY_API_KEY", USER_KEY)
    assert findings(command("doctor", "--json"))["credentials"] == ("ok", "valid, with the role user")
    monkeypatch.setenv("COMFYUI_GATEWAY_API_KEY", "wrong")
    assert findings(command("doctor", "--json"))["credentials"] == ("problem", "Invalid API key")
    monkeypatch.delenv("COMFYUI_GATEWAY_API_KEY")
    assert findings(command("doctor", "--json"))["credentials"] == ("problem", "the gateway requires credentials")
    found = findings(command("doctor", "--json", "--token", "a-jwt"))
    assert found["credentials"] == ("problem", "the gateway accepts no tokens")


def test_a_profile_that_others_can_read(gateway: Gateway, home: Path) -> None:
    """It is a warning. Every command prints the fix in one line on stderr, and works."""
    file = home.parent / "config" / "comfyui-gateway" / "default.env"
    text = env_file.line("COMFYUI_GATEWAY_URL", gateway.url) + env_file.line("COMFYUI_GATEWAY_API_KEY", ADMIN_KEY)
    env_file.write(file, text, replace=False)
    assert run("workflows", "list").stderr == ""
    file.chmod(0o640)
    result = run("workflows", "list")
    assert (result.exit_code, len(result.stderr.splitlines())) == (0, 1)
    assert f"chmod 600 {file}" in result.stderr
    assert findings(run("doctor", "--json"))["profile"] == ("warning", f"other users can read the API key in {file}")


def test_a_missing_region(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice is about the region, and not about permissions."""
    del home
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    result = run("doctor", "--stage", "prod", "--url", f"http://127.0.0.1:{free_port()}")
    assert "problem aws  AWS_REGION: is not set" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("→ Set AWS_REGION to the region of the deployment.")


def test_an_unreachable_gateway_is_one_problem(home: object) -> None:
    """No other problem is reported. The advice is printed once."""
    del home
    port = free_port()
    result = run("doctor", "--url", f"http://127.0.0.1:{port}")
    assert result.exit_code == 1
    assert "problem gateway" in result.stdout
    assert result.stdout.count("comfyui-gateway run") == result.stdout.count(f":{port}") == 1
    assert result.stderr.endswith("1 problem found.\n")


@pytest.mark.usefixtures("home")
def test_executors_and_their_comfyuis() -> None:
    """No executor, and an executor whose ComfyUI does not respond."""
    none = findings_of_gateway(health={**examples.HEALTH_SIGNED_IN, "executors": []})
    assert none["executors"][0] == "problem"
    (executor,) = examples.HEALTH_SIGNED_IN["executors"]
    unreachable: Any = {**executor, "comfyui": {**executor["comfyui"], "reachable": False, "device": None}}
    found = findings_of_gateway(health={**examples.HEALTH_SIGNED_IN, "executors": [unreachable]})
    assert found["comfyui of gpu-1:17"][0] == "problem"
    assert "http://10.0.4.17:8188" in found["comfyui of gpu-1:17"][1]


@pytest.mark.usefixtures("home")
def test_missing_models() -> None:
    """Models named in the graph, and defaults of inputs, are checked; a required input is not a problem."""
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "{{checkpoint}}"}},
        "2": {"class_type": "LoraLoader", "inputs": {"lora_name": "there.safetensors"}},
        "3": {"class_type": "VAELoader", "inputs": {"vae_name": "{{vae}}"}},
        "4": {"class_type": "VAELoader", "inputs": {"vae_name": ["1", 2]}},
    }
    schema = {"properties": {"checkpoint": {"default": "gone.safetensors"}, "vae": {"type": "string"}}}
    workflow = {**examples.WORKFLOW["workflow"], "id": "w", "workflowJson": graph, "inputSchema": schema}
    head = {**examples.WORKFLOW_HEAD, "id": "w"}
    found = findings_of_gateway(
        **{"workflows/w": {"workflow": workflow}},
        workflows={"workflows": [head], "count": 1},
        capabilities={**examples.CAPABILITIES, "models": {"checkpoints": ["a.ckpt"], "loras": ["there.safetensors"]}},
    )
    assert found["models of w"] == ("problem", "no ComfyUI has gone.safetensors in checkpoints")
    assert "models" not in found


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(("ahead", "state"), [(0, "ok"), (-60, "warning"), (3600, "problem")])
def test_clock_difference(ahead: int, state: str) -> None:
    """Small differences are warnings, large ones problems; the message has the direction."""
    found = findings_of_gateway(date=time.time() + ahead)
    assert found["clock"][0] == state
    assert ("behind" in found["clock"][1]) == (ahead > 0)


@pytest.mark.usefixtures("home")
def test_a_gateway_of_another_version() -> None:
    """It is a warning. Credentials of a user are valid; AWS is not checked without its settings."""
    found = findings_of_gateway(health={**examples.HEALTH_SIGNED_IN, "version": "99.0"}, audit=forbidden)
    assert found["gateway"][0] == "warning"
    assert found["credentials"] == ("ok", "valid, with the role user")
    assert found["aws"][0] == found["webhooks"][0] == "skipped"


def test_dead_letters(aws: dict[str, str], home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are a warning with the command that shows them. A missing table is a problem."""
    del home
    from gateway.aws.clients import Clients  # noqa: PLC0415  after the environment is set

    for name, value in aws.items():
        monkeypatch.setenv(name, value)
    Clients().sqs.send_message(QueueUrl=f"{aws['WEBHOOK_QUEUE_URL']}-dead", MessageBody="{}")
    found = findings_of_gateway()
    assert found["table"][0] == "ok"
    assert found["queue webhooks"] == ("warning", "1 dead letters")
    monkeypatch.setenv("TABLE_NAME", "gone")
    assert findings_of_gateway()["aws"][0] == "problem"
