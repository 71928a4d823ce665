"""Record the AWS calls of one job on the wire, and replay them against the embedded AWS alone.

This measures the share of the embedded AWS: the same calls, in the same order, with nothing between them.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from api import ADMIN_KEY, Api, emulated
from botocore.httpsession import URLLib3Session
from one_process import executor
from prompts import SOLID_WORKFLOW, colors
from stack import wait_until

from executor import receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from functions.wiring.workflows import WorkflowWiring

_POLL_SECONDS = 1  # for stopping
_JOB_SECONDS = 30
_send: Any = URLLib3Session.send  # all calls of all clients go through it


@dataclass(frozen=True)
class RecordedCall:
    """One request to AWS."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        """The operation, such as `PutItem`."""
        return self.headers.get("X-Amz-Target", "").rpartition(".")[2] or f"{self.method.title()}Object"

    def naming(self, old: str, new: str) -> RecordedCall:
        """Return the call with a text replaced by another of the same length, as the call contains lengths."""
        if self.operation == "PutObject":  # has a checksum of its body
            return replace(self, path=self.path.replace(old, new))
        return replace(self, body=self.body.replace(old.encode(), new.encode()))

    def asking(self, **fields: object) -> RecordedCall:
        """Return the call with other fields in its JSON."""
        headers = {key: value for key, value in self.headers.items() if key != "Content-Length"}
        return replace(self, headers=headers, body=json.dumps({**json.loads(self.body), **fields}).encode())


@dataclass
class Script:
    """The calls of one job, in order."""

    endpoint: str
    job_id: str
    submit: list[RecordedCall] = field(default_factory=list)
    receive: list[RecordedCall] = field(default_factory=list)
    run: list[RecordedCall] = field(default_factory=list)  # from the claim
    status: list[RecordedCall] = field(default_factory=list)


class Wire:
    """One persistent connection."""

    def __init__(self, endpoint: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=_JOB_SECONDS)

    def send(self, call: RecordedCall) -> bytes:
        """Make a call; return the response body. Raises RuntimeError when it fails."""
        self._connection.request(call.method, call.path, call.body, call.headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{call.operation}: {body.decode(errors='replace')}")
        return body

    def close(self) -> None:
        """Close it."""
        self._connection.close()


class EmulatorAlone:
    """A way (see ways.py) that only makes the AWS calls of a job, including the wake-up of a long poll."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._wire = Wire(script.endpoint)
        self._ended = threading.Event()
        self._closed = False
        self._runner = threading.Thread(target=self._run_jobs)
        self._runner.start()

    def run_solid(self, _color: int) -> None:
        """Make the calls of a job."""
        job_id = str(uuid.uuid4())
        for call in [*self._script.submit, *self._script.status]:
            self._wire.send(call.naming(self._script.job_id, job_id))
        if not self._ended.wait(_JOB_SECONDS):
            raise RuntimeError("the message was not received")
        self._ended.clear()
        self._wire.send(self._script.status[-1].naming(self._script.job_id, job_id))

    def close(self) -> None:
        """See Way."""
        self._closed = True
        self._runner.join()
        self._wire.close()

    def _run_jobs(self) -> None:
        script, wire = self._script, Wire(self._script.endpoint)
        (poll,) = script.receive
        ends_at = 1 + max(place for place, call in enumerate(script.run) if call.operation == "UpdateItem")
        while not self._closed:
            for message in json.loads(wire.send(poll)).get("Messages", ()):
                job_id = json.loads(message["Body"])["jobId"]
                for call in script.run[:ends_at]:
                    wire.send(call.naming(script.job_id, job_id))
                self._ended.set()
                for call in script.run[ends_at:]:
                    if call.operation == "DeleteMessage":
                        wire.send(call.asking(ReceiptHandle=message["ReceiptHandle"]))
                    else:
                        wire.send(call.naming(script.job_id, job_id))
        wire.close()


@contextmanager
def scripted() -> Iterator[tuple[Script, WorkflowWiring]]:
    """Run the embedded AWS and a job on it; yield its calls and the wiring of the handlers."""
    with emulated() as (wiring, _):
        api = Api(wiring)
        api.request("POST", "/workflows", body=SOLID_WORKFLOW, key=ADMIN_KEY)()
        script = Script(os.environ["AWS_ENDPOINT_URL"], "")
        before, receiver._LONG_POLL_SECONDS = receiver._LONG_POLL_SECONDS, _POLL_SECONDS  # noqa: SLF001
        calls: list[tuple[bool, RecordedCall]] = []
        with executor(grace_seconds=2), _taken_down(calls):
            _run_job(api, calls)  # some calls only occur in a new process
            since = len(calls)
            script.job_id = _run_job(api, calls)
        receiver._LONG_POLL_SECONDS = before  # noqa: SLF001
        _sort(calls, since, script)
        yield script, wiring


def _run_job(api: Api, calls: list[tuple[bool, RecordedCall]]) -> str:
    """Submit a job, wait until it has ended, and read its status."""

    def deleted() -> int:
        return sum(call.operation == "DeleteMessage" for _, call in calls)

    before = deleted()
    response = api.request("POST", "/jobs", body={"workflowId": "solid", "inputs": {"color": next(colors)}})()
    wait_until(lambda: deleted() > before, "the end of a job", _JOB_SECONDS)
    job_id = str(json.loads(response["body"])["jobId"])
    api.request("GET", f"/jobs/{job_id}")()
    return job_id


@contextmanager
def _taken_down(calls: list[tuple[bool, RecordedCall]]) -> Iterator[None]:
    """Record the calls of this process, each with whether this thread made it."""
    thread = threading.current_thread()

    def send(session: URLLib3Session, request: Any) -> Any:  # noqa: ANN401  botocore's
        body = request.body.read() if hasattr(request.body, "read") else request.body or b""
        request.body = body
        url = urlsplit(request.url)
        headers = {name: _text(value) for name, value in request.headers.items()}
        path = f"{url.path}?{url.query}" if url.query else url.path
        calls.append((threading.current_thread() is thread, RecordedCall(request.method, path, headers, _bytes(body))))
        return _send(session, request)

    URLLib3Session.send = send  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        URLLib3Session.send = _send  # type: ignore[method-assign]


def _sort(calls: list[tuple[bool, RecordedCall]], since: int, script: Script) -> None:
    """Assign each call to its purpose, without calls that no job causes. `since`: the start of the job."""
    name = script.job_id.encode()
    for place, (ours, call) in enumerate(calls):
        if call.operation == "ReceiveMessage" and b"-normal" in call.body:
            script.receive[:] = [call.asking(WaitTimeSeconds=_POLL_SECONDS)]
        elif place >= since and ours:
            submitted = any(each.operation == "SendMessage" for each in script.submit)
            (script.status if submitted else script.submit).append(call)
        elif place >= since and (name in call.body or script.job_id in call.path or call.operation == "DeleteMessage"):
            script.run.append(call)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
