"""The commands `comfyui-gateway dead-letters` and `webhooks secret`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from cli.main import app
from functions.webhooks.signing import owner_secret
from gateway.aws.dynamodb.audit_log import DynamoAuditLog
from gateway.domain.audit import AuditAction
from gateway.domain.job import Priority
from gateway.domain.messages import JobEndedEvent, JobMessage
from local.provision import PROVISIONED
from tests.webhooks.harness import SECRET, WebhookHarness

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from gateway.aws.clients import Clients


@pytest.fixture
def harness(aws: dict[str, str], aws_clients: Clients, monkeypatch: pytest.MonkeyPatch) -> WebhookHarness:
    """Return the webhook harness, with its settings in the environment of the command."""
    for name, value in aws.items():
        monkeypatch.setenv(name, value)
    return WebhookHarness(aws, aws_clients)


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, arguments)


def add_dead_letters(harness: WebhookHarness, count: int) -> list[str]:
    """Put webhook messages into the dead-letter queue; return their job ids."""
    ids = []
    for _ in range(count):
        job = harness.end_job("http://127.0.0.1:9/")
        body = JobEndedEvent.of(job).model_dump_json(by_alias=True)
        harness.clients.sqs.send_message(QueueUrl=f"{harness.url}-dead", MessageBody=body)
        ids.append(job.id)
    return ids


def test_listing_keeps_the_dead_letters(harness: WebhookHarness) -> None:
    """Listing shows each message by its job, beyond one SQS batch, and leaves them in the queue."""
    ids = add_dead_letters(harness, 12)
    for _ in range(2):
        result = run("dead-letters", "list", "webhooks")
        assert result.exit_code == 0
        assert sorted(line.split()[1] for line in result.stdout.splitlines()) == sorted(ids)
        assert "12 dead letters in queue webhooks" in result.stderr
    assert len(run("dead-letters", "list", "webhooks", "--limit", "5").stdout.splitlines()) == 5


def test_dead_letters_are_redriven(harness: WebhookHarness) -> None:
    """Redriving moves all messages to the queue as new messages."""
    ids = add_dead_letters(harness, 11)
    assert "11 dead letters in queue webhooks" in run("dead-letters", "redrive", "webhooks").stderr
    assert run("dead-letters", "list", "webhooks").stdout == ""
    records = [record for _ in range(2) for record in harness.messages()]
    assert sorted(json.loads(record["body"])["jobId"] for record in records) == sorted(ids)
    assert {record["attributes"]["ApproximateReceiveCount"] for record in records} == {"1"}


def test_prompts_are_not_shown(harness: WebhookHarness, aws: dict[str, str]) -> None:
    """A job's prompt is not shown; a redriven message keeps its group."""
    job = harness.end_job(None)
    prompt = {"1": {"class_type": "A", "inputs": {"text": "a-private-prompt"}}}
    message = JobMessage(job_id=job.id, priority=Priority.HIGH, correlation_id="c", prompt=prompt)
    harness.clients.sqs.send_message(
        QueueUrl=aws["HIGH_DEAD_LETTER_QUEUE_URL"],
        MessageBody=message.model_dump_json(by_alias=True),
        MessageGroupId="owner",
    )
    shown = run("dead-letters", "list", "high")
    assert job.id in shown.stdout
    assert "a-private-prompt" not in shown.output
    run("dead-letters", "redrive", "high")
    (again,) = harness.clients.sqs.receive_message(
        QueueUrl=aws["HIGH_QUEUE_URL"], MessageSystemAttributeNames=["MessageGroupId"]
    )["Messages"]
    assert again["Attributes"]["MessageGroupId"] == "owner"


def test_a_missing_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing setting is one line on stderr that names it, with exit code 1."""
    monkeypatch.chdir(tmp_path)
    for name in (*PROVISIONED, "WEBHOOK_SECRET", "DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    for arguments, setting in (
        (("dead-letters", "list", "webhooks"), "WEBHOOK_QUEUE_URL"),
        (("webhooks", "secret", "ada"), "WEBHOOK_SECRET"),
    ):
        result = run(*arguments)
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
        assert result.stderr.startswith(f"comfyui-gateway: {setting}:")


def test_json_output(harness: WebhookHarness) -> None:
    """`--json` prints the list, and the number of redriven messages."""
    (job_id,) = add_dead_letters(harness, 1)
    listed = json.loads(run("dead-letters", "list", "webhooks", "--json").stdout)
    assert [letter["jobId"] for letter in listed["deadLetters"]] == [job_id]
    assert json.loads(run("dead-letters", "redrive", "webhooks", "--json").stdout)["count"] == 1


def test_a_redrive_has_an_audit_entry(harness: WebhookHarness, aws: dict[str, str]) -> None:
    """A redrive of at least one message has an audit entry with queue and operator."""
    log = DynamoAuditLog(harness.clients.dynamodb, aws["TABLE_NAME"], 30)
    assert "No dead letters" in run("dead-letters", "redrive", "webhooks").stderr
    assert not log.newest(9, before=None)
    add_dead_letters(harness, 1)
    run("dead-letters", "redrive", "webhooks")
    (entry,) = log.newest(9, before=None)
    assert (entry.action, entry.target) == (AuditAction.DEAD_LETTERS_REDRIVEN, "webhooks")
    assert entry.by.actor.owner.startswith("operator ")


def test_an_owners_secret_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command prints the secret that the owner's webhooks are signed with."""
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    assert run("webhooks", "secret", "ada").stdout == owner_secret(SECRET, "ada", 0) + "\n"
    monkeypatch.setenv("WEBHOOK_SECRET_RENEWALS", "ada:2,bob:1")
    assert run("webhooks", "secret", "ada").stdout == owner_secret(SECRET, "ada", 2) + "\n"
    assert run("webhooks", "secret", "eve").stdout == owner_secret(SECRET, "eve", 0) + "\n"
