"""An executor's ECS task is protected from scale-in while it has jobs."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from executor import task_protection
from executor.slots import Slots
from executor.task_protection import TaskProtection
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import Priority
from testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

GRANTED = {"protection": {"ProtectionEnabled": True}}
REFUSED = {"failure": {"Reason": "DEPLOYMENT_BLOCKED"}}


class FakeAgent:
    """The ECS agent's task protection endpoint. `responses`: its next responses; afterwards it grants all."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.responses: list[dict[str, Any]] = []
        self.url = ""

    @property
    def requested(self) -> list[bool]:
        """The requested states, in order."""
        return [body["ProtectionEnabled"] for _, body in self.requests]


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    """Run an agent."""
    agent = FakeAgent()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            response = json.dumps(agent.responses.pop(0) if agent.responses else GRANTED).encode()
            agent.requests.append((self.path, body))
            self.send_response(200)
            self.send_header("Content-Length", str(len(response)))
            self.end_headers()
            self.wfile.write(response)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    agent.url = f"http://127.0.0.1:{server.server_port}/api/task"
    yield agent
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def task_protection_of(agent_url: str | None, slots: Slots) -> Iterator[None]:
    """Follow these slots, with short intervals."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_protection, "_POLL_SECONDS", 0.01)
        patch.setattr(task_protection, "_RETRY_SECONDS", 0.01)
        protection = TaskProtection(agent_url, slots, SYSTEM_CLOCK)
        protection.start()
        yield
        protection.stop()


def test_a_task_is_protected_while_it_has_jobs(agent: FakeAgent) -> None:
    """One request when the first job starts, and one when the last one is done."""
    slots = Slots(1, 1)
    with task_protection_of(agent.url, slots):
        first, second = slots.acquire("a", Priority.NORMAL), slots.acquire("b", Priority.NORMAL)
        wait_until(lambda: agent.requested == [True], "protection")
        slots.start_finishing(first)
        slots.release(first)
        slots.start_finishing(second)
        assert agent.requested == [True]  # its outputs are still being stored
        slots.release(second)
        wait_until(lambda: agent.requested == [True, False], "no protection")
    path, body = agent.requests[0]
    assert path == "/api/task/task-protection/v1/state"
    assert body == {"ProtectionEnabled": True, "ExpiresInMinutes": 60}


def test_protection_is_renewed(agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it expires after an hour."""
    monkeypatch.setattr(task_protection, "_RENEW_SECONDS", 0.02)
    slots = Slots(1, 1)
    with task_protection_of(agent.url, slots):
        slots.acquire("a", Priority.NORMAL)
        wait_until(lambda: len(agent.requested) >= 3, "renewals")
    assert all(agent.requested)


def test_a_refused_request_is_retried(agent: FakeAgent) -> None:
    """ECS refuses during deployments, with a response that is not an HTTP error."""
    agent.responses = [REFUSED, REFUSED]
    slots = Slots(1, 1)
    with task_protection_of(agent.url, slots):
        slots.acquire("a", Priority.NORMAL)
        wait_until(lambda: agent.requested == [True, True, True], "a third try")


def test_nothing_is_requested_outside_ecs(agent: FakeAgent) -> None:
    """There ECS_AGENT_URI is not set."""
    slots = Slots(1, 1)
    with task_protection_of(None, slots):
        slots.acquire("a", Priority.NORMAL)
    assert agent.requests == []
