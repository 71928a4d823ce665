"""Nothing that private jobs are given is stored or logged: jobs take every path, then everything written is searched.

Every text that a caller can send contains a marker: inputs, parameters, names of files and models. Without privacy
mode the same jobs leave it in many places, which shows that it would be found.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from functions.events import dead_letters, sweeper
from functions.wiring.events import EventWiring
from gateway.aws.eventbridge import EventBridgeBus
from gateway.aws.sqs.job_queue import SqsJobQueue
from gateway.clock import SYSTEM_CLOCK
from gateway.settings import BackgroundSettings
from testing.clock import FakeClock
from testing.executor_harness import short_intervals
from testing.waiting import wait_until
from tests.component.event_functions import NO_CONTEXT, failed
from tests.component.job_metrics import JobMetricsFunction
from tests.executor.leak_observer import LeakObserver, RecordingGateway

if TYPE_CHECKING:
    from comfyui_simulator.server import SimulatorServer
    from gateway.aws.clients import Clients
    from testing.executor_harness import AwsExecutorHarness
    from tests.component.api import Caller, Response

MARKER = "zq-a-private-fox-qz"
BUNDLED = Path(__file__).parents[2] / "workflows"
EMPTY = {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": "{{color}}"}}
TEXT = {"type": "string"}


def saved(class_type: str, **inputs: object) -> dict[str, Any]:
    """Make a graph with a node between an image and its files, a still and an animation."""
    return {
        "1": EMPTY,
        "2": {"class_type": class_type, "inputs": {"image": ["1", 0], **inputs}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "{{folder}}/{{prompt}}"}},
        "4": {
            "class_type": "SaveAnimatedPNG",
            "inputs": {"images": ["2", 0], "filename_prefix": "{{prompt}}", "fps": 6.0, "compress_level": 4},
        },
    }


GRAPHS = {
    "paint": saved("LabText", text="{{prompt}} {{folder}}"),
    "fail": saved("LabRaise", kind="{{kind}}", message="{{prompt}}"),
    "wait": saved("LabSleep", seconds=60.0, steps=100, interruptible=True, progress=True),
    "name": {"1": EMPTY, "2": {"class_type": "LabUI", "inputs": {"json": "{{report}}", "image": ["1", 0]}}},
}
PROPERTIES = {"prompt": TEXT, "kind": TEXT, "report": TEXT, "color": {"type": "integer", "default": 7}}


def register(admin: Caller) -> None:
    """Create the workflows, without the marker."""
    for name, graph in GRAPHS.items():
        body = {
            "id": name,
            "name": name,
            "workflowJson": graph,
            "inputSchema": {"properties": PROPERTIES},
            "defaultParams": {"folder": "any"},
        }
        assert admin.post("/workflows", body).status == 201
    graph, schema = (json.loads((BUNDLED / f"icon_512{end}.json").read_text()) for end in ("", ".schema"))
    body = {"id": "icon", "name": "icon", "workflowJson": graph, "inputSchema": schema}
    assert admin.post("/workflows", body).status == 201


def post(ada: Caller, workflow_id: str, **inputs: object) -> Response:
    """Post a job with the marker."""
    return ada.post("/jobs", body_of(workflow_id, **inputs))


def body_of(workflow_id: str, **inputs: object) -> dict[str, Any]:
    """Make the request body of a job."""
    params = {} if workflow_id == "icon" else {"folder": f"{MARKER}-folder"}
    return {"workflowId": workflow_id, "inputs": {"prompt": MARKER, **inputs}, "params": params}


def accepted(ada: Caller, workflow_id: str, **inputs: object) -> str:
    """Post a job that is accepted; return its id."""
    response = post(ada, workflow_id, **inputs)
    assert response.status == 202, response.json
    return str(response.json["jobId"])


def send_invalid_requests(ada: Caller) -> None:
    """Send requests that are rejected because of the marker."""
    assert post(ada, "paint", color=MARKER).status == 400
    assert post(ada, "paint", prompt=[MARKER]).status == 400
    assert post(ada, "icon", steps=MARKER, sampler=MARKER).status == 400
    assert ada.post("/jobs", {"workflowId": "paint", "inputs": MARKER, "params": MARKER}).status == 400
    assert ada.post("/jobs", {"workflowId": "paint", "priority": MARKER}).status == 400
    for broken in (f'{{"inputs": {{"prompt": "{MARKER}}}', f'{{"inputs": {MARKER}}}', f'"{MARKER}"'):
        assert ada.post("/jobs", broken.encode()).status == 400


def repeat_requests(ada: Caller) -> None:
    """Repeat requests, unchanged and changed, with the same idempotency key."""
    key = {"Idempotency-Key": "order-1"}
    assert {ada.post("/jobs", body_of("paint"), key).status for _ in range(2)} == {202}
    assert ada.post("/jobs", body_of("paint", color=9), key).status == 422


def break_the_queue(ada: Caller) -> None:
    """Post a job while the queue fails with a message of its own."""

    def broken(_queue: object, message: object, **_: object) -> None:
        raise ValueError(f"cannot send {message}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqsJobQueue, "send", broken)
        assert post(ada, "paint").status == 500


def sweep(aws_harness: AwsExecutorHarness, ada: Caller) -> None:
    """Run the sweeper later, which finds the job without a message."""
    wiring = EventWiring(BackgroundSettings.from_environment(aws_harness.environment))
    wiring.clock = clock = FakeClock(SYSTEM_CLOCK.now())
    handler = sweeper.handler.make_handler(wiring)
    for _ in range(4):
        clock.advance(5 * 60)
        handler({}, NO_CONTEXT)
    assert ada.get("/jobs?status=failed").json["count"] == 1


def run_dead_letter_function(aws_harness: AwsExecutorHarness, ada: Caller) -> None:
    """Run the dead-letter function on a job message and on invalid ones, once with a failing event bus."""
    url = aws_harness.environment["NORMAL_QUEUE_URL"]
    handler = dead_letters.handler.make_handler(
        EventWiring(BackgroundSettings.from_environment(aws_harness.environment))
    )

    def broken(_bus: object, event: object) -> None:
        raise ValueError(f"{MARKER} {event}")

    job_id = accepted(ada, "paint", color=20)
    (message,) = aws_harness.clients.sqs.receive_message(QueueUrl=url)["Messages"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventBridgeBus, "publish", broken)
        assert failed(handler, message["Body"]) == [0]
    assert failed(handler, message["Body"], MARKER, json.dumps({"prompt": MARKER})) == []
    assert aws_harness.job(job_id).error is not None
    aws_harness.clients.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def run_out_of_attempts(aws_harness: AwsExecutorHarness, ada: Caller) -> str:
    """Claim a job for dead executors until its attempts are exhausted."""
    job_id = accepted(ada, "paint", color=30)
    now = SYSTEM_CLOCK.now()
    for _ in range(2):
        aws_harness.jobs.claim(job_id, executor_id="dead", now=now, lease_until=now - timedelta(seconds=1))
    return job_id


def break_the_executor(ada: Caller, observer: LeakObserver) -> None:
    """Let an attempt crash with an exception that contains its prompt."""

    def broken(prompt: object, _log: object) -> None:
        raise ValueError(f"cannot run {prompt}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("executor.job.runner.PromptProgress", broken)
        accepted(ada, "paint", color=40)
        wait_until(lambda: "attempt_crashed" in observer.log.getvalue(), "a crashed attempt")


def read_everything(gateway: RecordingGateway) -> None:
    """Request everything that the API offers."""
    for path in ("/jobs", "/workflows", "/capabilities", "/audit", "/health", "/stats"):
        assert gateway.admin.get(path).status == 200
    for job in gateway.ada.get("/jobs").json["jobs"]:
        for path in (f"/jobs/{job['jobId']}", f"/jobs/{job['jobId']}/logs", f"/jobs/{job['jobId']}/deliveries"):
            assert gateway.ada.get(path).status == 200
        for output in job["outputs"] or ():
            assert gateway.ada.get(output["url"]).status == 200


def run_all_paths(
    gateway: RecordingGateway, aws_harness: AwsExecutorHarness, simulator: SimulatorServer, observer: LeakObserver
) -> dict[str, str | None]:
    """Run jobs on every path; return the error code, or None, of those that executors ran."""
    ada = gateway.ada
    register(gateway.admin)
    send_invalid_requests(ada)
    break_the_queue(ada)
    sweep(aws_harness, ada)
    run_dead_letter_function(aws_harness, ada)
    assert ada.post(f"/jobs/{accepted(ada, 'paint', color=10)}/cancel").status == 200
    repeat_requests(ada)
    exhausted = run_out_of_attempts(aws_harness, ada)
    with short_intervals(), aws_harness.run_executor(simulator.url, MAX_ATTEMPTS="2"):
        missing = json.dumps({"images": [{"filename": f"{MARKER}.png", "subfolder": MARKER, "type": "output"}]})
        jobs = {
            "painted": accepted(ada, "paint", color=1),
            "failed": accepted(ada, "fail", kind="ValueError"),
            "out of memory": accepted(ada, "fail", kind="OOM"),
            "rejected": accepted(ada, "fail", kind=MARKER),
            "without a model": accepted(ada, "icon", checkpoint=f"{MARKER}.safetensors"),
            "named": accepted(ada, "name", report=missing),
            "drawn": accepted(ada, "icon", steps=2, seed=5),
            "exhausted": exhausted,
        }
        ended = {name: aws_harness.wait_until_ended(job_id) for name, job_id in jobs.items()}
        wait_until(lambda: post(ada, "paint", color=1).status == 200, "a result in the cache")
        running = accepted(ada, "wait")
        wait_until(lambda: aws_harness.job(running).log, "a running job")
        assert ada.post(f"/jobs/{running}/cancel").status == 200
        aws_harness.wait_until_ended(running)
        break_the_executor(ada, observer)
    JobMetricsFunction(aws_harness.environment, aws_harness.clients).catch_up()
    read_everything(gateway)
    return {name: job.error.code if job.error else None for name, job in ended.items()}


@pytest.fixture(params=["private", "public"])
def gateway(request: pytest.FixtureRequest, aws: dict[str, str], aws_clients: Clients) -> RecordingGateway:
    """Return a gateway with and without privacy mode."""
    privacy_mode = str(request.param == "private").lower()
    return RecordingGateway(aws, aws_clients, PRIVACY_MODE=privacy_mode, RATE_LIMIT_MAX="0")


@pytest.fixture
def observer(gateway: RecordingGateway, aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> LeakObserver:
    """Observe everything that is written."""
    return LeakObserver(gateway, aws, monkeypatch)


def test_private_jobs_leave_no_inputs(
    gateway: RecordingGateway,
    observer: LeakObserver,
    aws_harness: AwsExecutorHarness,
    simulator: SimulatorServer,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """No table, file, event, log or response has it, nor ComfyUI's history; without privacy mode all but events do."""
    assert run_all_paths(gateway, aws_harness, simulator, observer) == {
        "painted": None,
        "failed": "COMFYUI_NODE_ERROR",
        "out of memory": "COMFYUI_OOM",
        "rejected": "COMFYUI_REJECTED",
        "without a model": "COMFYUI_REJECTED",
        "named": "OUTPUT_ERROR",
        "drawn": None,
        "exhausted": "EXECUTOR_LOST",
    }
    written = observer.everything()
    written["history"] = requests.get(f"{simulator.url}/history", timeout=5).text
    written["standard streams"] = "".join(capfd.readouterr())
    allowed = {place for place, text in written.items() if MARKER in text}
    private = gateway.wiring.settings.privacy_mode
    assert allowed == (set() if private else {"tables", "files", "log", "responses", "history"})
    assert written["events"].count("jobId") >= 10  # so that there was something to read
    assert "JobsFailed" in written["standard streams"]
