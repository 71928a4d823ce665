"""An executor's task in ECS is not ended to scale in while it has jobs."""

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


class Agent:
    """The container's agent, as far as it is asked here. `answers`: the next ones; then it grants."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[dict[str, Any]] = []
        self.url = ""

    @property
    def wishes(self) -> list[bool]:
        """What was asked for, in order."""
        return [body["ProtectionEnabled"] for _, body in self.asked]


@pytest.fixture
def agent() -> Iterator[Agent]:
    """Run one."""
    agent = Agent()

    class Answer(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps(agent.answers.pop(0) if agent.answers else GRANTED).encode()
            agent.asked.append((self.path, body))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    agent.url = f"http://127.0.0.1:{server.server_port}/api/task"
    yield agent
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def following(agent_url: str | None, slots: Slots) -> Iterator[None]:
    """Follow these slots, quicker than usual."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_protection, "_POLL_SECONDS", 0.01)
        patch.setattr(task_protection, "_RETRY_SECONDS", 0.01)
        protection = TaskProtection(agent_url, slots, SYSTEM_CLOCK)
        protection.start()
        yield
        protection.stop()


def test_a_task_is_protected_from_its_first_job_to_the_end_of_its_last(agent: Agent) -> None:
    """Once each, however many jobs there are meanwhile."""
    slots = Slots(1, 1)
    with following(agent.url, slots):
        first, second = slots.acquire("a", Priority.NORMAL), slots.acquire("b", Priority.NORMAL)
        wait_until(lambda: agent.wishes == [True], "protection")
        slots.start_finishing(first)
        slots.release(first)
        slots.start_finishing(second)
        assert agent.wishes == [True]  # its outputs are still on their way
        slots.release(second)
        wait_until(lambda: agent.wishes == [True, False], "no protection")
    path, wish = agent.asked[0]
    assert path == "/api/task/task-protection/v1/state"
    assert wish == {"ProtectionEnabled": True, "ExpiresInMinutes": 60}


def test_long_work_is_protected_anew(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the hour is over, as ECS ends protection by itself."""
    monkeypatch.setattr(task_protection, "_RENEW_SECONDS", 0.02)
    slots = Slots(1, 1)
    with following(agent.url, slots):
        slots.acquire("a", Priority.NORMAL)
        wait_until(lambda: len(agent.wishes) >= 3, "protection, again and again")
    assert all(agent.wishes)


def test_what_is_refused_is_asked_for_again(agent: Agent) -> None:
    """ECS refuses now and then, as during a deployment, and says so in an answer that is no HTTP error."""
    agent.answers = [REFUSED, REFUSED]
    slots = Slots(1, 1)
    with following(agent.url, slots):
        slots.acquire("a", Priority.NORMAL)
        wait_until(lambda: agent.wishes == [True, True, True], "a third try")


def test_outside_of_ecs_nothing_is_asked(agent: Agent) -> None:
    """Nobody sets the variable there."""
    slots = Slots(1, 1)
    with following(None, slots):
        slots.acquire("a", Priority.NORMAL)
    assert agent.asked == []
