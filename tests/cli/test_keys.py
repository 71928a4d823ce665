"""`comfyui-gateway keys`, by the table of a gateway that runs here, by the environment, and by a stage's stacks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests

from cli import aws_session, env_file
from gateway.aws.clients import Clients
from gateway.aws.dynamodb.api_key_admin import DynamoApiKeyAdmin
from gateway.aws.dynamodb.api_key_store import DynamoApiKeyStore
from gateway.aws.dynamodb.audit_log import DynamoAuditLog
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.audit import AuditAction
from gateway.domain.principal import Role, hash_key, mint_key
from gateway.errors import StateConflictError
from tests.cli.conftest import Gateway, assert_refused, run
from tests.component.samples import BY
from tests.local.command import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result


@pytest.fixture
def here(aws: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:  # noqa: ARG001  where it runs
    """Put a table into the command's environment."""
    for name, value in aws.items():
        monkeypatch.setenv(name, value)
    return aws


def test_the_error_of_a_worker_without_settings_says_where_they_are(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As keys are: in the command's own line."""
    del home
    for name in ("BUCKET_NAME", "EVENT_BUS_NAME"):
        monkeypatch.delenv(name, raising=False)
    assert_refused(run("worker"), 1, "TABLE_NAME: is not set", "docs/executors.md", "./data/environment")


def listed() -> list[dict[str, Any]]:
    """List keys."""
    keys: list[dict[str, Any]] = json.loads(run("keys", "list", "--json").stdout)["keys"]
    return keys


def test_a_key_is_made_listed_and_revoked(here: dict[str, str], aws_clients: Clients) -> None:
    """It is printed once, alone on stdout; only its hash is kept; the audit log knows of both."""
    made = run("keys", "create", "--name", "shop", "--owner", "ada", "--role", "admin", "--expires", "90d")
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    record = DynamoApiKeyStore(aws_clients.dynamodb, here["TABLE_NAME"]).get(hash_key(key))
    assert record is not None
    assert (record.name, record.owner, record.role, record.usable(SYSTEM_CLOCK.now())) == (
        "shop",
        "ada",
        Role.ADMIN,
        True,
    )
    assert record.expires_at is not None
    assert (record.expires_at - record.created_at).days in (89, 90)
    (shown,) = listed()
    assert (shown["id"], shown["state"], shown["owner"]) == (record.id, "good", "ada")
    items = aws_clients.dynamodb.scan(TableName=here["TABLE_NAME"])["Items"]
    assert key not in str(items)
    assert run("keys", "revoke", record.id).exit_code == 0
    assert listed()[0]["state"] == "revoked"
    assert_refused(run("keys", "revoke", record.id), 3, "already revoked")
    assert_refused(run("keys", "revoke", "000000000000"), 5, "000000000000")
    entries = DynamoAuditLog(aws_clients.dynamodb, here["TABLE_NAME"], 30).newest(9, before=None)
    assert [(e.action, e.target) for e in entries] == [
        (AuditAction.KEY_REVOKED, "shop"),
        (AuditAction.KEY_CREATED, "shop"),
    ]
    assert entries[0].by.actor.owner.startswith("operator ")


@pytest.mark.usefixtures("here")
def test_a_key_is_of_a_user_and_for_ever_unless_you_say() -> None:
    """And its owner is called as it is."""
    made = json.loads(run("keys", "create", "--name", "ci", "--json").stdout)
    assert (made["owner"], made["role"], made["expiresAt"], made["state"]) == ("ci", "user", None, "good")
    assert made["key"].startswith("cgw_")
    row = run("keys", "list").stdout.strip().split("\t")
    assert (row[0], row[1], row[4], row[6]) == (made["id"], "ci", "good", "never")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--name", "x", "--expires", "soon"), 2),
        (("--name", "x", "--expires", "2020-01-01"), 2),
        (("--name", "x", "--expires", "99999d"), 2),
        (("--name", "x", "--role", "root"), 2),
        (("--role", "admin"), 2),
        (("--name", " "), 3),
        (("--name", "x\n"), 3),
        (("--name", "x" * 101), 3),
        (("--name", "x", "--owner", "\x1b[1m"), 3),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(options: tuple[str, ...], code: int) -> None:
    """And nothing is kept of it."""
    result = run("keys", "create", *options)
    assert (result.exit_code, result.stdout) == (code, "")
    assert listed() == []


def test_a_key_of_the_gateway_running_here(
    gateway: Gateway, command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what it wrote down in its folder: the key opens, and no longer half a minute after it was revoked."""
    monkeypatch.setenv("DATA_DIR", str(gateway.data_dir))
    for name, value in (env_file.read(gateway.data_dir / "environment") or {}).items():
        monkeypatch.setenv(name, value)  # so that what the command sets is taken back at the end
    made = json.loads(command("keys", "create", "--name", "mine", "--json").stdout)
    headers = {"X-API-Key": made["key"]}
    assert requests.get(f"{gateway.url}/jobs", headers=headers, timeout=10).status_code == 200
    assert {each["name"] for each in listed()} == {"API_KEYS", "mine"}
    seeded = next(each for each in listed() if each["name"] == "API_KEYS" and each["role"] == "user")
    revoked = command("keys", "revoke", made["id"])
    assert revoked.exit_code == 0
    assert requests.get(f"{gateway.url}/jobs", headers={"X-API-Key": "unknown"}, timeout=10).status_code == 401
    assert seeded["state"] == "good"


@pytest.mark.usefixtures("deployed_services")
def test_a_stage_is_found_by_its_stacks(here: dict[str, str]) -> None:
    """By the output that the state stack has for that; without it, the stage is named."""
    clients = Clients()
    lines = "\n".join(f"{name}={value}" for name, value in here.items() if not name.startswith("AWS_"))
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"Environment": {"Value": lines}},
    }
    name = f"comfyui-gateway-{here['TABLE_NAME'][:9]}-state"
    clients.cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    stage = name.removeprefix("comfyui-gateway-").removesuffix("-state")
    assert run("keys", "create", "--name", "first", "--stage", stage).exit_code == 0
    assert [each["name"] for each in listed()] == ["first"]
    assert_refused(run("keys", "list", "--stage", "nowhere"), 1, "comfyui-gateway-nowhere-state")


def test_without_any_table_it_says_how_to_name_one(home: Path) -> None:
    """One line, with the ways there are."""
    del home
    assert_refused(run("keys", "list"), 1, "TABLE_NAME", "--stage", "comfyui-gateway run")


def test_a_stopped_gateway_is_reported(home: Path) -> None:
    """Its folder still has the names of its resources. Doctor reports it as a problem."""
    lines = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}", "TABLE_NAME": "local-gateway"}
    text = "".join(env_file.line(name, value) for name, value in lines.items())
    env_file.write(home / "data" / "environment", text, replace=False)
    assert_refused(run("keys", "list"), 1, "The gateway in data is not running", "comfyui-gateway run")
    found = json.loads(run("doctor", "--json", "--url", f"http://127.0.0.1:{free_port()}").stdout)["findings"]
    assert [each["what"] for each in found if each["state"] == "problem"] == ["gateway", "aws"]


def test_what_aws_refuses_is_one_line(here: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is not there, and an AWS that does not answer."""
    monkeypatch.setenv("TABLE_NAME", "no-such-table")
    assert_refused(run("keys", "list"), 1, "ResourceNotFoundException")
    monkeypatch.setenv("TABLE_NAME", here["TABLE_NAME"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert_refused(run("keys", "list"), 1, "does not respond")


def test_the_second_of_two_revocations_is_refused(here: dict[str, str], aws_clients: Clients) -> None:
    """A key that was revoked since it was read."""
    audit = DynamoAuditLog(aws_clients.dynamodb, here["TABLE_NAME"], 30)
    ring = DynamoApiKeyAdmin(aws_clients.dynamodb, here["TABLE_NAME"], audit)
    _, key = mint_key(name="a", owner="a", role=Role.USER, now=SYSTEM_CLOCK.now())
    ring.create(key, BY)
    ring.revoke(ring.all()[0], BY)
    with pytest.raises(StateConflictError):
        ring.revoke(ring.all()[0], BY)


def test_the_commands_variables_are_those_that_are_provisioned() -> None:
    """The variables that select a gateway are among those that a deployment sets."""
    from local.provision import PROVISIONED  # noqa: PLC0415  only here

    assert set(aws_session._NAMING_VARIABLES) <= set(PROVISIONED)
