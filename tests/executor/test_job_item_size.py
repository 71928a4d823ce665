"""The size of a job item: DynamoDB bills each write per started KB."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.component.api import Gateway
from tests.webhooks.fake_resolver import FakeResolver
from tests.webhooks.harness import SECRET

if TYPE_CHECKING:
    from comfyui_simulator.server import SimulatorServer
    from gateway.aws.clients import Clients
    from testing.executor_harness import AwsExecutorHarness

BUNDLED = Path(__file__).parents[2] / "workflows"
PROMPT = (
    "a lighthouse at dawn, oil on canvas, warm light from the left, waves against the rocks, gulls in the sky, "
    "a small red boat in the distance, mist"
)
# The maximum that a webhook delivery adds, when its first attempt succeeds.
WEBHOOK_BYTES = 90


def test_an_ended_job_takes_one_write_unit(
    aws_harness: AwsExecutorHarness, aws: dict[str, str], aws_clients: Clients, simulator: SimulatorServer
) -> None:
    """With a bundled workflow, a prompt of 145 characters, a callback, log, output and webhook delivery."""
    gateway = Gateway.on_aws(aws, aws_clients, WEBHOOK_SECRET=SECRET)
    gateway.wiring.resolver = FakeResolver(["8.8.8.8"])
    graph, schema = (json.loads((BUNDLED / f"sdxl_realism_v1{end}.json").read_text()) for end in ("", ".schema"))
    workflow = {"id": "sdxl_realism_v1", "name": "SDXL", "workflowJson": graph, "inputSchema": schema}
    assert gateway.admin.post("/workflows", workflow).status == 201
    body = {
        "workflowId": "sdxl_realism_v1",
        "inputs": {"prompt": PROMPT, "steps": 10},
        "callbackUrl": "https://app.example.com/hooks/comfyui?tenant=3f0c1d2e",
    }
    with aws_harness.run_executor(simulator.url):
        job = aws_harness.wait_until_ended(gateway.ada.post("/jobs", body).json["jobId"])
    assert len(job.log) > 10
    (item,) = gateway.stored("JOB#")
    assert size_of(item) + WEBHOOK_BYTES <= 1024


def size_of(item: dict[str, Any]) -> int:
    """Return the size of an item in bytes, as DynamoDB counts it."""
    return sum(len(name) + _value_size(*next(iter(value.items()))) for name, value in item.items())


def _value_size(kind: str, content: Any) -> int:  # noqa: ANN401  by its kind
    match kind:
        case "N":
            return math.ceil(len(content) / 2) + 2
        case "S":
            return len(content.encode())
    assert kind == "B"
    return len(content)
