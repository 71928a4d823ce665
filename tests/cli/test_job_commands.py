"""`submit`, `jobs …` and `webhooks …` with a complete gateway."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.cli.conftest import ADMIN_KEY, USER_KEY, Gateway, assert_refused
from tests.local.command import wait_until
from tests.webhooks.receiver import Receiver, responds

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

Command = "Callable[..., Result]"

SLOW_GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 7}},
    "2": {
        "class_type": "LabSleep",
        "inputs": {
            "image": ["1", 0], "seconds": "{{seconds}}", "steps": 100, "interruptible": True, "progress": True,
            "salt": "{{seed}}",
        },
    },
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "slow"}},
}  # fmt: skip
BROKEN_GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 7}},
    "2": {"class_type": "LabRaise", "inputs": {"image": ["1", 0], "kind": "ValueError", "message": "boom"}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "broken"}},
}


@pytest.fixture(scope="session")
def lab(gateway: Gateway) -> None:
    """Register a slow workflow, and one that fails."""
    schema = {"properties": {"seconds": {"type": "number"}, "seed": {"type": "integer", "default": -1}}}
    for body in (
        {"id": "slow", "name": "Slow", "workflowJson": SLOW_GRAPH, "inputSchema": schema},
        {"id": "broken", "name": "Broken", "workflowJson": BROKEN_GRAPH},
    ):
        requests.post(
            f"{gateway.url}/workflows", json=body, headers={"X-API-Key": ADMIN_KEY}, timeout=10
        ).raise_for_status()


def submitted(command: Callable[..., Result], *arguments: str) -> str:
    """Submit a job and return its id."""
    result = command("submit", *arguments)
    assert result.exit_code == 0, result.output
    return str(uuid.UUID(result.stdout.strip()))


def shown(result: Result) -> Any:  # noqa: ANN401  JSON
    """Parse the output of --json."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_job_is_run_and_its_output_saved(command: Callable[..., Result], home: Path) -> None:
    """Inputs have the schema's types; the file is complete, its name has the job's id, and its path is printed."""
    result = command("submit", "icon_512", "-i", "prompt=a key", "-i", "steps=2", "-i", "cfg=5", "-o", "images")
    assert result.exit_code == 0, result.output
    (file,) = [home / line for line in result.stdout.splitlines()]
    assert file.read_bytes().startswith(b"\x89PNG")
    job_id = result.stderr.splitlines()[0].removeprefix("Job ")
    assert file.name == f"{job_id[:8]}-icon_512_00001_.png"
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    assert "Succeeded." in result.stderr
    assert "\x1b" not in result.output


def test_a_job_as_json(command: Callable[..., Result]) -> None:
    """The job as in the API, with the paths of the saved files; progress is not on stdout."""
    job = shown(
        command("submit", "icon_512", "-i", "prompt=a key", "-i", "seed=7", "-i", "steps=3", "-o", ".", "--json")
    )
    assert (job["status"], job["seed"]) == ("succeeded", 7)
    assert [Path(path).name for path in job["savedTo"]] == [f"{job['jobId'][:8]}-{job['outputs'][0]['filename']}"]
    queued = shown(command("submit", "icon_512", "-i", "prompt=a key", "--priority", "high", "--json"))
    assert queued["priority"] == "high"


def test_an_unusable_folder_is_reported_before_the_job_is_submitted(command: Callable[..., Result], home: Path) -> None:
    """Nothing is submitted."""
    (home / "file").write_text("")
    newest = command("jobs", "list", "--limit", "1").stdout.partition("\t")[0]
    assert_refused(command("submit", "icon_512", "-i", "prompt=x", "-o", "file/in"), 1, "file/in")
    assert_refused(command("submit", "icon_512", "-i", "prompt=x", "-o", "file"), 1, "file")
    assert command("jobs", "list", "--limit", "1").stdout.partition("\t")[0] == newest


def test_outputs_can_be_downloaded_later(command: Callable[..., Result], home: Path) -> None:
    """A file with the same content is kept; one with other content is replaced only with --overwrite."""
    job_id = submitted(command, "icon_512", "-i", "prompt=a later key")
    saved = home / command("jobs", "download", job_id, "-o", ".").stdout.strip()
    content = saved.read_bytes()
    assert command("jobs", "download", job_id, "-o", ".").exit_code == 0
    saved.write_bytes(b"my own")
    result = command("jobs", "download", job_id, "-o", ".")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "--overwrite" in result.stderr.splitlines()[-1]
    assert saved.read_bytes() == b"my own"
    assert command("jobs", "download", job_id, "-o", ".", "--overwrite").exit_code == 0
    assert saved.read_bytes() == content


def test_one_output_is_written_to_stdout(command: Callable[..., Result], home: Path) -> None:
    """Only its bytes. Of several outputs, the error has the names, and --file selects one."""
    inputs = ("icon_512", "-i", "prompt=a pipe", "-i", "steps=1", "-i", "width=64", "-i", "height=64")
    single = command("submit", *inputs, "-o", "-")
    assert (single.exit_code, single.stdout_bytes[:8]) == (0, b"\x89PNG\r\n\x1a\n"), single.stderr
    assert "Succeeded." in single.stderr
    job_id = submitted(command, *inputs, "-i", "batch_size=2")
    result = command("jobs", "download", job_id, "-o", "-")
    names = [output["filename"] for output in shown(command("jobs", "show", job_id, "--json"))["outputs"]]
    assert (result.exit_code, result.stdout_bytes) == (3, b"")
    assert len(names) == 2
    assert all(name in result.stderr.splitlines()[-1] for name in names)
    selected = command("jobs", "download", job_id, "-o", "-", "--file", names[1])
    saved = home / command("jobs", "download", job_id, "--file", names[1]).stdout.strip()
    assert saved.name == f"{job_id[:8]}-{names[1]}"
    assert selected.stdout_bytes == saved.read_bytes()
    result = command("jobs", "download", job_id, "--file", "nope.png")
    assert (result.exit_code, result.stdout) == (5, "")
    assert_refused(command("submit", *inputs, "-o", "-", "--json"), 2, "--json")


@pytest.mark.usefixtures("lab")
def test_a_failed_job_fails_the_command(command: Callable[..., Result]) -> None:
    """Exit code 7, with the error's code and message; with --json the job is printed as well."""
    result = command("submit", "broken", "--wait")
    assert (result.exit_code, result.stdout) == (7, "")
    assert "COMFYUI_NODE_ERROR" in result.stderr.splitlines()[-1]
    assert "boom" in result.stderr.splitlines()[-1]
    as_json = command("submit", "broken", "--wait", "--json")
    assert as_json.exit_code == 7
    assert json.loads(as_json.stdout)["error"]["code"] == "COMFYUI_NODE_ERROR"
    described = command("jobs", "show", json.loads(as_json.stdout)["jobId"])
    assert "COMFYUI_NODE_ERROR: " in described.stdout


def test_all_invalid_inputs_are_reported_at_once(command: Callable[..., Result]) -> None:
    """Wrong types are reported by the command, wrong values by the gateway: one line has all problems."""
    result = command(
        "submit", "icon_512", "-i", "prompt=x", "-i", "steps=many", "-i", "nothing=1", "-i", "cfg", "-i", "prompt=y"
    )
    assert_refused(result, 2, "steps: must be a whole number", "nothing: not an input", "NAME=VALUE", "given twice")
    result = command("submit", "icon_512", "-i", "prompt=x", "-i", "steps=9999", "-i", "width=3")
    assert_refused(result, 3, "inputs.steps: ", "inputs.width: ")
    assert_refused(command("submit", "icon_512"), 3, "inputs.prompt: Required.")
    assert_refused(command("submit", "icon_512", "-i", "prompt= "), 3, "inputs.prompt: Must not be blank.")
    assert_refused(command("submit", "icon_512", "--priority", "urgent"), 2, "'--priority': 'urgent' is not one of")
    assert_refused(command("submit", "icon_512", "-i", "prompt=x", "--callback-url", "ftp://x"), 3, "callbackUrl")


def test_unknown_ids_are_not_found(command: Callable[..., Result]) -> None:
    """Exit code 5, for workflows and jobs."""
    unknown = str(uuid.uuid4())
    assert_refused(command("submit", "nope", "-i", "prompt=x"), 5, "nope")
    assert_refused(command("submit", "nope"), 5, "nope")
    for words in (("jobs", "show"), ("jobs", "logs"), ("jobs", "cancel"), ("webhooks", "deliveries")):
        assert_refused(command(*words, unknown), 5, unknown)
        assert_refused(command(*words, "../workflows"), 5, "'../workflows' not found")


def test_jobs_are_listed_and_filtered(command: Callable[..., Result]) -> None:
    """Without a terminal, lines have tab-separated fields. Filters are applied."""
    ids = [submitted(command, "icon_512", "-i", "prompt=the same", "-i", "seed=1", "-i", "steps=1") for _ in range(3)]
    command("jobs", "wait", ids[0])
    rows = [line.split("\t") for line in command("jobs", "list", "--limit", "3").stdout.splitlines()]
    assert [row[0] for row in rows] == ids[::-1]
    assert {row[2] for row in rows} == {"icon_512"}
    listed = shown(command("jobs", "list", "--workflow", "icon_512", "--status", "succeeded", "--limit", "1", "--json"))
    assert (listed["count"], listed["jobs"][0]["status"]) == (1, "succeeded")
    nothing = command("jobs", "list", "--before", "2020-01-01T00:00:00Z")
    assert (nothing.stdout, nothing.stderr) == ("", "No jobs.\n")
    assert_refused(command("jobs", "list", "--after", "yesterday"), 2, "--after: ", "1h", "2026-01-31T12:00:00Z")


def test_pages_are_followed(command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit above the page size needs several requests; no job is listed twice."""
    for _ in range(3):
        submitted(command, "icon_512", "-i", "prompt=a page", "-i", "seed=1", "-i", "steps=1")
    monkeypatch.setattr("cli.api.PAGE_SIZE", 2)
    ids = [job["jobId"] for job in shown(command("jobs", "list", "--limit", "3", "--json"))["jobs"]]
    assert len(ids) == len(set(ids)) == 3


def test_a_log_is_shown_and_followed(command: Callable[..., Result]) -> None:
    """Each line once, until the job ends; with --json one object per line."""
    job_id = submitted(command, "icon_512", "-i", "prompt=a log")
    followed = [
        json.loads(line)["message"] for line in command("jobs", "logs", job_id, "-f", "--json").stdout.splitlines()
    ]
    assert followed[0] == "Accepted."
    assert followed[-1].startswith("Succeeded.")
    plain = command("jobs", "logs", job_id).stdout.splitlines()
    assert [line.split("  ", 1)[1] for line in plain] == followed
    assert [line["message"] for line in shown(command("jobs", "logs", job_id, "--json"))["logs"]] == followed


@pytest.mark.usefixtures("lab")
def test_a_running_job_is_canceled(command: Callable[..., Result]) -> None:
    """The command that waits for it ends with 7; canceling it again is refused."""
    job_id = submitted(command, "slow", "-i", "seconds=60")
    wait_until(lambda: "running" in command("jobs", "show", job_id).stdout, 20)
    assert command("jobs", "cancel", job_id).exit_code == 0
    waited = command("jobs", "wait", job_id)
    assert waited.exit_code == 7
    assert "canceled" in waited.stderr.splitlines()[-1]
    assert_refused(command("jobs", "cancel", job_id), 3, "ended")


def test_deliveries_are_listed_and_redelivered(command: Callable[..., Result]) -> None:
    """Each attempt is a line; redeliver sends the webhook once more."""
    with Receiver(responds(204)) as receiver:
        job_id = submitted(command, "icon_512", "-i", "prompt=a hook", "-i", "steps=1", "--callback-url", receiver.url)
        wait_until(lambda: len(shown(command("webhooks", "deliveries", job_id, "--json"))["deliveries"]) == 1, 20)
        assert command("webhooks", "deliveries", job_id).stdout.split("\t")[2:4] == ["204", "delivered"]
        assert command("webhooks", "redeliver", job_id).exit_code == 0
        wait_until(lambda: len(receiver.received) == 2, 10)
    without = submitted(command, "icon_512", "-i", "prompt=a hook", "-i", "steps=1")
    assert_refused(command("webhooks", "redeliver", without), 3, "no callbackUrl")


def test_permissions_of_a_user(command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another owner's job is not found. Admin commands, and invalid or missing credentials, exit with 4."""
    job_id = submitted(command, "icon_512", "-i", "prompt=mine", "-i", "steps=1")
    monkeypatch.setenv("COMFYUI_GATEWAY_API_KEY", USER_KEY)
    assert_refused(command("jobs", "show", job_id), 5, "not found")
    assert_refused(command("workflows", "remove", "icon_512", "--yes"), 4, "Admin role required")
    assert_refused(command("jobs", "list", "--api-key", "wrong"), 4, "Invalid API key")
    monkeypatch.delenv("COMFYUI_GATEWAY_API_KEY")
    assert_refused(command("jobs", "list", "--token", "a-jwt"), 4, "accepts no tokens")
    assert_refused(command("jobs", "list"), 4, "COMFYUI_GATEWAY_API_KEY")
