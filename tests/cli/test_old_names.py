"""Old command names work for one version, and print the new name."""

from __future__ import annotations

import pytest

from tests.cli.conftest import run
from tests.cli.test_job_ids import page, returns
from tests.webhooks.receiver import Receiver
from tools.api_docs import examples

JOB = examples.JOB_ID


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("old", "new", "request_line"),
    [
        (("show-workflow", "w"), "workflows show", "GET /workflows/w"),
        (("remove-workflow", "w", "--yes"), "workflows remove", "DELETE /workflows/w"),
        (("jobs",), "jobs list", "GET /jobs?limit=20"),
        (("jobs", "--status", "failed", "--limit", "5"), "jobs list", "GET /jobs?status=failed&limit=5"),
        (("job", JOB), "jobs show", f"GET /jobs/{JOB}"),
        (("job", JOB, "--wait"), "jobs wait", f"GET /jobs/{JOB}"),
        (("job", JOB, "-o", "."), "jobs download", f"GET /jobs/{JOB}"),
        (("logs", JOB), "jobs logs", f"GET /jobs/{JOB}/logs"),
        (("cancel", JOB), "jobs cancel", f"POST /jobs/{JOB}/cancel"),
        (("deliveries", JOB), "webhooks deliveries", f"GET /jobs/{JOB}/deliveries"),
        (("deliveries", JOB, "--resend"), "webhooks redeliver", f"POST /jobs/{JOB}/deliveries"),
    ],
)
def test_an_old_name_works_and_prints_the_new_one(
    old: tuple[str, ...], new: str, request_line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first line on stderr; the request is the same as before."""
    monkeypatch.setattr("cli.job_wait._MAX_OUTAGE_SECONDS", 0)
    with Receiver(returns({})) as receiver:
        result = run(*old, "--url", f"http://127.0.0.1:{receiver.port}")
        assert receiver.received[0].line.removesuffix(" HTTP/1.1") == request_line
    first, *others = result.stderr.splitlines()
    assert first.startswith("comfyui-gateway: ")
    assert f'is now "{new}"' in first
    assert not any("is now" in line for line in others)


@pytest.mark.usefixtures("home")
def test_the_old_name_of_webhooks_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stdout has the secret and nothing else."""
    monkeypatch.setenv("WEBHOOK_SECRET", "x" * 32)
    old, new = run("webhook-secret", "ada"), run("webhooks", "secret", "ada")
    assert old.stdout == new.stdout
    assert 'is now "webhooks secret"' in old.stderr
    assert new.stderr == ""


@pytest.mark.usefixtures("home")
def test_documented_names_stay() -> None:
    """Without a warning."""
    with Receiver(returns({"workflows": [], "count": 0})) as receiver:
        result = run("list-workflows", "--url", f"http://127.0.0.1:{receiver.port}", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "comfyui-gateway workflows add" in run("add-workflow", "--help").output


@pytest.mark.usefixtures("home")
def test_the_group_of_jobs_has_help() -> None:
    """With its subcommands; it lists no jobs."""
    result = run("jobs", "--help")
    assert result.exit_code == 0
    assert "download" in result.stdout
    with Receiver(page()) as receiver:
        assert run("jobs", "list", "--url", f"http://127.0.0.1:{receiver.port}").stderr == "No jobs.\n"
