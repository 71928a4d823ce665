"""How long a warm handler takes without AWS, and what it asks of AWS.

    python bench/bench_handlers.py

prints a table and writes results/handlers.json. Times run from an API Gateway event to the answer, with the ports in
memory; calls and bytes (bodies, without headers) are counted against the embedded AWS.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
import uuid
from contextlib import contextmanager
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from in_memory import KEY, InMemoryWiring
from rich.console import Console
from rich.table import Table

from cli.local.api_event import HttpRequest, to_event
from cli.local.emulator import Emulator
from cli.local.lambda_runtime import LocalContext
from cli.local.provision import provision
from functions import http
from functions.routing import function_for
from functions.wiring import Wiring
from gateway.aws.clients import Clients
from gateway.aws.key_store import DynamoKeyStore
from gateway.domain import instant
from gateway.domain.audit import Authorship
from gateway.domain.identity import ApiKey, Role, hash_key
from gateway.domain.workflow import WorkflowTemplate
from gateway.settings import ApiSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aws_lambda_powertools.utilities.typing import LambdaContext

WARM_UPS, ROUNDS = 200, 2000
TARGET_MS = {"POST /jobs": 3.0, "GET /jobs/{id}": 1.0}
WORKFLOW = "sdxl_realism_v1"
JOB = {
    "workflowId": WORKFLOW,
    "inputs": {"prompt": "a lighthouse at dawn", "steps": 30, "seed": -1},
    "metadata": {"customer": "42"},
}
NOWHERE = {
    "TABLE_NAME": "t", "BUCKET_NAME": "b", "EVENT_BUS_NAME": "e", "HIGH_QUEUE_URL": "http://h",
    "NORMAL_QUEUE_URL": "http://n", "LOW_QUEUE_URL": "http://l",
}  # fmt: skip


class Api:
    """Answers requests with the handlers of one wiring."""

    def __init__(self, wiring: Wiring) -> None:
        self._handlers = {
            name: import_module(f"functions.{name}").make_handler(wiring) for name in ("jobs", "workflows")
        }

    def request(self, method: str, path: str, body: object = None) -> Callable[[], dict[str, Any]]:
        """Prepare a request; calling the result has it answered."""
        content = b"" if body is None else json.dumps(body).encode()
        request = HttpRequest(
            method=method,
            path=path,
            query="",
            headers=[("X-API-Key", KEY), ("Content-Type", "application/json"), ("Accept", "*/*")],
            body=content,
            source_ip="192.0.2.1",
            scheme="https",
            port=443,
        )
        text = json.dumps(to_event(request, request_id=str(uuid.uuid4()), received_at=instant.now()))
        name = function_for(path)
        context = cast("LambdaContext", LocalContext(name, "r", time.monotonic() + 3600))

        def send() -> dict[str, Any]:
            answer = self._handlers[name](json.loads(text), context)  # Lambda's runtime parses the event, too
            if answer["statusCode"] >= http.HTTPStatus.BAD_REQUEST:
                raise RuntimeError(answer["body"])
            return answer

        return send

    def routes(self) -> dict[str, Callable[[], dict[str, Any]]]:
        """Prepare a request for every route that is measured."""
        submit = self.request("POST", "/jobs", JOB)
        job_id = json.loads(submit()["body"])["jobId"]
        return {
            "POST /jobs": submit,
            "GET /jobs/{id}": self.request("GET", f"/jobs/{job_id}"),
            "GET /workflows": self.request("GET", "/workflows"),
        }


def bundled() -> dict[str, WorkflowTemplate]:
    """Read the bundled workflows."""
    folder = resources.files("workflows")
    names = [file.name.removesuffix(".schema.json") for file in folder.iterdir() if file.name.endswith(".schema.json")]
    return {
        name: WorkflowTemplate.register(
            json.loads((folder / f"{name}.json").read_text()),
            json.loads((folder / f"{name}.schema.json").read_text()),
            None,
        )
        for name in names
    }


def measure_times() -> dict[str, dict[str, float]]:
    """Time each route, ports in memory: milliseconds."""
    wiring = InMemoryWiring(ApiSettings.from_environment(NOWHERE))
    for name, template in bundled().items():
        wiring.workflows.add(name, template)
    times = {}
    for route, send in Api(wiring).routes().items():
        for _ in range(WARM_UPS):
            send()
        samples = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            send()
            samples.append((time.perf_counter() - started) * 1000)
        times[route] = {
            "median_ms": round(statistics.median(samples), 3),
            "p95_ms": round(statistics.quantiles(samples, n=20)[-1], 3),
        }
    return times


def measure_calls() -> dict[str, dict[str, Any]]:
    """Count what each route, warm, asks of AWS."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder, Emulator(state_dir=None, work_dir=Path(folder)) as emulator:
        os.environ.update(emulator.environment)
        clients = Clients()
        settings = ApiSettings.from_environment(provision(clients, prefix="bench-", retention_days=30))
        wiring = Wiring(settings)
        DynamoKeyStore(clients.dynamodb, settings.table_name).put(
            ApiKey(sha256=hash_key(KEY), name="ada", owner="ada", role=Role.USER, created_at=instant.now())
        )
        key = ApiKey(sha256="", name="bench", owner="bench", role=Role.ADMIN, created_at=instant.now())
        for name, template in bundled().items():
            wiring.workflows.create(name, name, "", template, Authorship(actor=key.principal, correlation_id="bench"))
        counted = {}
        for route, send in Api(wiring).routes().items():
            send()
            with counting(wiring) as calls:
                send()
            counted[route] = {
                "calls": [call["operation"] for call in calls],
                "bytes_sent": sum(call["sent"] for call in calls),
                "bytes_received": sum(call["received"] for call in calls),
            }
    os.environ.clear()
    os.environ.update(before)
    return counted


@contextmanager
def counting(wiring: Wiring) -> Iterator[list[dict[str, Any]]]:
    """List the calls that a wiring's clients make meanwhile."""
    calls: list[dict[str, Any]] = []

    def sent(event_name: str, request: Any, **_: object) -> None:  # noqa: ANN401  botocore's
        body = request.body or b""
        size = len(body if isinstance(body, bytes) else body.encode())
        calls.append({"operation": event_name.removeprefix("before-send."), "sent": size, "received": 0})

    def received(http_response: Any, **_: object) -> None:  # noqa: ANN401  botocore's
        calls[-1]["received"] = int(http_response.headers.get("Content-Length", 0))

    clients = wiring._clients  # noqa: SLF001  what is measured are these very clients
    events = [client.meta.events for client in (clients.dynamodb, clients.sqs, clients.s3)]
    for each in events:
        each.register("before-send", sent)
        each.register("after-call", received)
    try:
        yield calls
    finally:
        for each in events:
            each.unregister("before-send", sent)
            each.unregister("after-call", received)


def main() -> None:
    """Measure, print, write."""
    with Path(os.devnull).open("w") as sink:
        http.logger.registered_handler.setStream(sink)
        times, calls = measure_times(), measure_calls()
    table = Table("route", "median ms", "p95 ms", "target ms", "AWS calls", "bytes to AWS", "bytes from AWS")
    for route, time_of in times.items():
        count = calls[route]
        numbers = (time_of["median_ms"], time_of["p95_ms"], TARGET_MS.get(route, ""))
        table.add_row(route, *map(str, numbers), "\n".join(count["calls"]), *map(str, list(count.values())[1:]))
    Console(width=140).print(table)
    result = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "rounds": ROUNDS,
        "routes": {route: {**times[route], **calls[route]} for route in times},
    }
    target = Path(__file__).with_name("results") / "handlers.json"
    target.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
