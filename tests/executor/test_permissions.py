"""The permissions in docs/executors.md are exactly those that an executor needs."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from gateway.domain.job import JobStatus, Priority
from gateway.domain.messages import JobMessage
from testing.executor_harness import short_intervals
from testing.fault_proxy import FaultProxy
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until
from tests.executor.test_large_outputs import make_files

if TYPE_CHECKING:
    # An action, the setting that names its resource, and a key of it, or nothing.
    from testing.executor_harness import AwsExecutorHarness

    Call = tuple[str, str, str]

PAGE = (Path(__file__).parents[2] / "docs" / "executors.md").read_text(encoding="utf-8")
# Where the name of the permission is not that of the operation: each part of an upload is a PutObject.
ACTIONS = dict.fromkeys(("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"), "PutObject")
# Not an operation: S3 checks it when an object does not exist.
WITHOUT_CALL = ("s3:ListBucket", "BUCKET_NAME", "")


def listed() -> set[Call]:
    """Parse the table of the page."""
    calls: set[Call] = set()
    for actions, resources, _ in re.findall(r"^\| (`[a-z0-9]+:.+?) \| (.+?) \| (.+?) \|$", PAGE, flags=re.MULTILINE):
        names, _, keys = resources.partition(":")
        for action in re.findall(r"`([^`]+)`", actions):
            for name in re.findall(r"`([^`]+)`", names):
                calls |= {(action, name, key) for key in re.findall(r"`([^`]+)`", keys) or [""]}
    return calls


def called(client: BaseClient, operation: str, arguments: dict[str, Any], settings: dict[str, str]) -> Call:
    """Return the permission that a call needs."""
    service = client.meta.service_model.service_name
    action = f"{service}:{ACTIONS.get(operation, operation)}"
    match service:
        case "dynamodb":
            item = arguments["Key"] if "Key" in arguments else arguments["Item"]
            return action, settings[arguments["TableName"]], item["pk"]["S"]
        case "s3":
            return action, settings[arguments["Bucket"]], arguments["Key"]
        case "sqs":
            return action, settings[arguments["QueueUrl"]], ""
    (entry,) = arguments["Entries"]
    return action, settings[entry["EventBusName"]], ""


def fits(call: Call, line: Call) -> bool:
    """Return whether a line of the page allows a call."""
    return call[:2] == line[:2] and fnmatchcase(call[2], line[2])


@pytest.fixture
def calls(aws_harness: AwsExecutorHarness, monkeypatch: pytest.MonkeyPatch) -> set[Call]:
    """Record the calls of all clients except the test's own."""
    own = [getattr(aws_harness.clients, name) for name in ("dynamodb", "sqs", "polling_sqs", "s3", "events")]
    settings = {value: name for name, value in aws_harness.environment.items()}
    seen: set[Call] = set()
    original = BaseClient._make_api_call  # type: ignore[attr-defined]  # the one place all calls pass

    def noted(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:  # noqa: ANN401
        if self not in own:
            seen.add(called(self, operation, arguments, settings))
        return original(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", noted)
    return seen


def send_by_key(aws_harness: AwsExecutorHarness, *, stored: bool) -> str:
    """Submit a job whose prompt is stored in the bucket, or no longer."""
    job_id = aws_harness.create_job(cache_key="equal")
    key = f"prompts/{job_id}.json"
    if stored:
        aws_harness.objects.put(key, json.dumps(image_prompt()).encode(), content_type="application/json")
    message = JobMessage(job_id=job_id, priority=Priority.NORMAL, correlation_id="correlated", prompt_key=key)
    aws_harness.queue.send(message, group="somebody")
    return job_id


def run_all_paths(aws_harness: AwsExecutorHarness, folder: Path) -> None:
    """Run jobs to every terminal status, with prompts and outputs of all sizes, and attempts that fail."""
    large = make_files(folder, 48_000_000, ["large.bin"])
    with (
        SimulatorServer(SimulatorSettings(data_dir=folder)) as simulator,
        FaultProxy(simulator.url, lambda request: "large" if "large.bin" in request.path else "other") as proxy,
        short_intervals(),
        aws_harness.run_executor(proxy.url, grace_seconds=0) as stop,
    ):
        # Truncate the large file when some parts of it are stored: the upload is aborted.
        proxy.inject("large", lambda proxied: proxied.respond(proxied.forward(), truncated=True))
        jobs = [
            aws_harness.submit(large),
            send_by_key(aws_harness, stored=True),
            send_by_key(aws_harness, stored=False),
            *(aws_harness.submit(image_prompt(), priority=priority) for priority in Priority),
            aws_harness.submit(image_prompt(), private=True),
        ]
        ended = [aws_harness.wait_until_ended(job_id).status for job_id in jobs]
        assert ended == [JobStatus.SUCCEEDED] * 2 + [JobStatus.FAILED] + [JobStatus.SUCCEEDED] * 4
        aws_harness.send_message(jobs[1], image_prompt())  # which has ended already
        canceled = aws_harness.submit(sleep_prompt(60.0, steps=600))
        wait_until(lambda: aws_harness.job(canceled).progress is not None, "a renewed lease")
        aws_harness.request_cancel(canceled)
        assert aws_harness.wait_until_ended(canceled).status is JobStatus.CANCELED
        wait_until(lambda: aws_harness.message_count() == 0, "an empty queue")
        # Released at the end.
        for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH):
            released = aws_harness.submit(sleep_prompt(60.0, steps=600), priority=priority)
            wait_until(lambda released=released: aws_harness.job(released).progress is not None, "a renewed lease")  # type: ignore[misc]
        stop()


def test_the_documented_permissions_are_needed_and_enough(
    aws_harness: AwsExecutorHarness, calls: set[Call], tmp_path: Path
) -> None:
    """Every call is allowed by a line of the table, and every line is needed by a call."""
    run_all_paths(aws_harness, tmp_path)
    assert {call for call in calls if not any(fits(call, line) for line in listed())} == set()
    assert {line for line in listed() if not any(fits(call, line) for call in calls)} == {WITHOUT_CALL}
