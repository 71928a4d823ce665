"""`stats`, `audit`, `version` and `webhooks test` with a complete gateway."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gateway.__about__ import VERSION
from tests.cli.conftest import assert_refused
from tests.webhooks.receiver import Receiver, responds

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result


def test_stats(command: Callable[..., Result]) -> None:
    """Counts by status; with --json as in the API."""
    fields = dict(line.split("\t") for line in command("stats").stdout.splitlines())
    counts = json.loads(command("stats", "--json").stdout)["jobs"]
    assert {"jobs", "queued", "running", "succeeded", "failed", "canceled", "since"} <= set(fields)
    assert int(fields["jobs"]) <= counts["total"]


def test_the_audit_log_is_listed(command: Callable[..., Result]) -> None:
    """Newest first: time, actor, action, target."""
    rows = [line.split("\t") for line in command("audit", "--limit", "2").stdout.splitlines()]
    assert len(rows) == 2
    assert rows[0][0] >= rows[1][0]
    listed = json.loads(command("audit", "--limit", "1", "--json").stdout)
    assert (listed["count"], len(listed["entries"])) == (1, 1)


def test_a_receiver_is_tested(command: Callable[..., Result]) -> None:
    """Exit code 1 if it does not accept the sample, with the reason."""
    with Receiver(responds(204)) as receiver:
        result = command("webhooks", "test", receiver.url)
        assert result.exit_code == 0
        assert "204" in result.stderr
    with Receiver(responds(500)) as receiver:
        assert_refused(command("webhooks", "test", receiver.url), 1, "500")
        as_json = command("webhooks", "test", receiver.url, "--json")
        assert (as_json.exit_code, json.loads(as_json.stdout)["delivered"]) == (1, False)


def test_the_version_is_printed(command: Callable[..., Result]) -> None:
    """As a command and as an option."""
    assert command("version").stdout == command("--version").stdout == f"{VERSION}\n"
    assert json.loads(command("version", "--json").stdout) == {"version": VERSION}
