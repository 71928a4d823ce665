"""How many calls to AWS a job costs its executor."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from botocore.client import BaseClient

from gateway.domain.job import JobStatus
from testing.prompts import image_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    import pytest

    from comfyui_simulator.server import SimulatorServer
    from testing.executor_harness import AwsExecutorHarness


def test_a_job_costs_six_calls(
    aws_harness: AwsExecutorHarness, simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Receive, claim, upload, terminal write, event, delete; not counting polls of empty queues."""
    calls: Counter[str] = Counter()
    original = BaseClient._make_api_call  # type: ignore[attr-defined]  # all calls pass here

    def counted(self: Any, operation: str, arguments: dict[str, Any]) -> Any:  # noqa: ANN401
        response = original(self, operation, arguments)
        if operation != "ReceiveMessage" or response.get("Messages"):
            calls[operation] += 1
        return response

    with aws_harness.run_executor(simulator.url):
        wait_until(aws_harness.heartbeat_count, "a heartbeat")
        monkeypatch.setattr(BaseClient, "_make_api_call", counted)
        job_id = aws_harness.submit(image_prompt())
        wait_until(lambda: calls["DeleteMessage"] == 1, "the message's deletion")
        monkeypatch.undo()
    assert aws_harness.job(job_id).status is JobStatus.SUCCEEDED
    # SendMessage is the test's own. PutItem creates the job, and writes a heartbeat that happens to be due.
    assert {name: count for name, count in calls.items() if name not in ("SendMessage", "PutItem")} == {
        "ReceiveMessage": 1,
        "UpdateItem": 2,
        "PutObject": 1,
        "PutEvents": 1,
        "DeleteMessage": 1,
    }
