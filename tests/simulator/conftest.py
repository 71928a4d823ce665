"""Simulated servers and clients for the simulator's own tests."""

from __future__ import annotations

import json
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import requests
import websocket

from comfyui_simulator import SimulatorServer, SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT_SECONDS = 10
SILENCE_SECONDS = 0.2

FAST = SimulatorSettings(seconds_per_step=0.0, history_lag_seconds=(0.0, 0.0), control_api=True)


@pytest.fixture
def start() -> Iterator[Callable[[SimulatorSettings], SimulatorServer]]:
    """Start servers with the given settings; they stop at the end of the test."""
    with ExitStack() as stack:
        yield lambda settings: stack.enter_context(SimulatorServer(settings))


@pytest.fixture
def simulator(start: Callable[[SimulatorSettings], SimulatorServer]) -> SimulatorServer:
    """Start a server without delays."""
    return start(FAST)


@pytest.fixture
def connect() -> Iterator[Callable[[SimulatorServer, str], websocket.WebSocket]]:
    """Open WebSockets under the given client id; they close at the end of the test."""
    with ExitStack() as stack:

        def open_socket(server: SimulatorServer, client_id: str) -> websocket.WebSocket:
            address = server.url.replace("http", "ws", 1) + f"/ws?clientId={client_id}"
            socket = websocket.create_connection(address, timeout=TIMEOUT_SECONDS)
            stack.callback(socket.close)
            return socket

        yield open_socket


@pytest.fixture
def post(simulator: SimulatorServer) -> Callable[..., str]:
    """Queue a prompt at `simulator` and return its id."""

    def post_prompt(prompt: dict[str, Any], **fields: Any) -> str:  # noqa: ANN401  fields of the JSON body
        response = requests.post(f"{simulator.url}/prompt", json={"prompt": prompt, **fields}, timeout=TIMEOUT_SECONDS)
        assert response.status_code == requests.codes.ok, response.text
        return str(response.json()["prompt_id"])

    return post_prompt


@pytest.fixture
def events() -> Callable[[websocket.WebSocket, str, str | None], list[dict[str, Any]]]:
    """Read JSON messages up to the first of a type, about a node where the type has one; None means the end."""

    def read(socket: websocket.WebSocket, last_type: str, node: str | None = None) -> list[dict[str, Any]]:
        messages = []
        while True:
            frame = socket.recv()
            if isinstance(frame, bytes):
                continue
            message = json.loads(frame)
            messages.append(message)
            if message["type"] == last_type and message["data"].get("node") == node:
                return messages

    return read


@pytest.fixture
def read_remaining() -> Callable[[websocket.WebSocket], list[dict[str, Any]]]:
    """Read JSON messages until none has come for a while."""

    def read(socket: websocket.WebSocket) -> list[dict[str, Any]]:
        socket.settimeout(SILENCE_SECONDS)
        messages = []
        try:
            while True:
                frame = socket.recv()
                messages += [] if isinstance(frame, bytes) else [json.loads(frame)]
        except websocket.WebSocketTimeoutException:
            return messages
        finally:
            socket.settimeout(TIMEOUT_SECONDS)

    return read


@pytest.fixture
def run(
    simulator: SimulatorServer,
    connect: Callable[[SimulatorServer, str], websocket.WebSocket],
    post: Callable[..., str],
    events: Callable[..., list[dict[str, Any]]],
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Run a prompt at `simulator` to its end and return its history entry."""

    def run_prompt(prompt: dict[str, Any]) -> dict[str, Any]:
        client_id = uuid.uuid4().hex
        socket = connect(simulator, client_id)
        prompt_id = post(prompt, client_id=client_id)
        events(socket, "executing")
        socket.close()
        history = requests.get(f"{simulator.url}/history/{prompt_id}", timeout=TIMEOUT_SECONDS).json()
        entry: dict[str, Any] = history[prompt_id]
        return entry

    return run_prompt
