"""Clients that submit all kinds of jobs, and record each accepted one."""

from __future__ import annotations

import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests
from prompts import SOLID_WORKFLOW, colors

from gateway.domain.job import Priority

if TYPE_CHECKING:
    from collections.abc import Callable

_CLIENTS = 6
_DELAY_SECONDS = (0.5, 1.5)  # between the jobs of a client: below the capacity of the hosts, or a backlog would grow
_INSIST_SECONDS = 60
_EMPTY = SOLID_WORKFLOW["workflowJson"]["1"]  # type: ignore[index]
_SLEEP = {
    "image": ["1", 0],
    "seconds": "{{seconds}}",
    "steps": 10,
    "interruptible": True,
    "progress": True,
    "salt": "{{color}}",
}
_RAISE = {"image": ["1", 0], "kind": "ValueError", "message": "{{color}}"}
_NUMBERS = {"color": {"type": "integer", "required": True}, "seconds": {"type": "number", "default": 0.2}}


def _workflow(name: str, class_type: str, inputs: dict[str, Any]) -> dict[str, Any]:
    save = {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": name}}
    graph = {"1": _EMPTY, "2": {"class_type": class_type, "inputs": inputs}, "3": save}
    return {
        "id": name,
        "name": name,
        "workflowJson": graph,
        "inputSchema": {"type": "object", "fields": _NUMBERS},
    }


WORKFLOWS = (SOLID_WORKFLOW, _workflow("sleep", "LabSleep", _SLEEP), _workflow("broken", "LabRaise", _RAISE))


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job that the gateway has accepted. `kind`: what the client does with it; `hooked`: it has a callback URL."""

    job_id: str
    kind: str
    hooked: bool


@dataclass
class Load:
    """The clients. `problems`: responses that must never occur."""

    url: str
    hook_url: str
    accepted: list[Accepted] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    retries: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def register(self) -> None:
        """Register the workflows."""
        for workflow in WORKFLOWS:
            requests.post(f"{self.url}/workflows", json=workflow, timeout=30).raise_for_status()

    def start(self) -> None:
        """Start the clients."""
        self._over.clear()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(_CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the clients after their current job."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        kinds: list[Callable[[], None]] = [self._plain, self._slow, self._canceled, self._broken, self._repeated]
        while not self._over.wait(random.uniform(*_DELAY_SECONDS)):  # noqa: S311  no secret
            try:
                random.choice([*kinds, self._cached])()  # noqa: S311  no secret
            except (requests.RequestException, RuntimeError) as error:
                self.problems.append(f"a client gave up: {error}")

    def _plain(self) -> None:
        self._submit("plain", "solid", {"color": next(colors)})

    def _slow(self) -> None:
        self._submit("slow", "sleep", {"color": next(colors)})

    def _broken(self) -> None:
        self._submit("broken", "broken", {"color": next(colors)})

    def _canceled(self) -> None:
        job_id = self._submit("canceled", "sleep", {"color": next(colors), "seconds": 5.0})
        time.sleep(random.uniform(0, 1))  # noqa: S311  no secret
        self._insist("POST", f"/jobs/{job_id}/cancel", {}, {})

    def _repeated(self) -> None:
        key = uuid.uuid4().hex
        body = {"color": next(colors)}
        first = self._submit("repeated", "solid", body, key=key)
        if (again := self._submit("", "solid", body, key=key)) != first:
            self.problems.append(f"one idempotency key stands for {first} and {again}")

    def _cached(self) -> None:
        color = next(colors)
        self._submit("plain", "solid", {"color": color})
        time.sleep(1.0)  # most have ended then
        self._submit("equal", "solid", {"color": color})

    def _submit(self, kind: str, workflow_id: str, inputs: dict[str, Any], *, key: str | None = None) -> str:
        """Submit a job until it is accepted. Without a kind it is already recorded."""
        hooked = key is None and random.random() < 0.5  # noqa: S311, PLR2004  no secret; half of them
        body = {
            "workflowId": workflow_id,
            "inputs": inputs,
            "priority": Priority.NORMAL if key else random.choice(list(Priority)),  # noqa: S311  no secret
            **({"callbackUrl": self.hook_url} if hooked else {}),
        }
        job_id = str(self._insist("POST", "/jobs", body, {"Idempotency-Key": key or uuid.uuid4().hex})["jobId"])
        if kind:
            self.accepted.append(Accepted(job_id, kind, hooked))
        return job_id

    def _insist(self, method: str, path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
        """Send a request until it succeeds; retry after a server error or no response."""
        deadline = time.monotonic() + _INSIST_SECONDS
        while time.monotonic() < deadline:
            try:
                response = requests.request(method, f"{self.url}{path}", json=body, headers=headers, timeout=30)
            except requests.ConnectionError:
                pass
            else:
                if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
                    if not response.ok and response.status_code != HTTPStatus.CONFLICT:
                        raise RuntimeError(f"{method} {path}: {response.status_code} {response.text}")
                    content: dict[str, Any] = response.json()
                    return content
            self.retries += 1
            time.sleep(0.5)
        raise RuntimeError(f"{method} {path}: no response within {_INSIST_SECONDS} s")
