"""WebSockets: which client receives what, and how connections start and end."""

from __future__ import annotations

import json
import socket as tcp
from typing import TYPE_CHECKING, Any

import requests
import websocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfyui_simulator import SimulatorServer

    Connect = Callable[[SimulatorServer, str], websocket.WebSocket]
    Events = Callable[..., list[dict[str, Any]]]
    ReadRemaining = Callable[[websocket.WebSocket], list[dict[str, Any]]]

SLEEP: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 1}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
    "3": {
        "class_type": "LabSleep",
        "inputs": {"image": ["1", 0], "seconds": 0.4, "steps": 20, "interruptible": True, "progress": True},
    },
}


def test_a_reconnected_client_gets_the_running_node_only(
    simulator: SimulatorServer, connect: Connect, post: Callable[..., str], events: Events
) -> None:
    """A client that reconnects receives the queue status, the running node, and later events."""
    first = connect(simulator, "c")
    post(SLEEP, client_id="c")
    events(first, "progress", "3")
    first.close()
    second = connect(simulator, "c")
    status, executing, *others = events(second, "executing")
    assert status["data"] == {"status": {"exec_info": {"queue_remaining": 1}}, "sid": "c"}
    assert executing == {"type": "executing", "data": {"node": "3"}}
    assert others[0]["type"] == "progress_state"
    assert others[-3]["type"] == "execution_success"


def test_the_second_socket_of_an_id_stops_with_the_first(
    simulator: SimulatorServer,
    connect: Connect,
    run: Callable[[dict[str, Any]], dict[str, Any]],
    events: Events,
    read_remaining: ReadRemaining,
) -> None:
    """When the first of two sockets under one id closes, the second stays open and receives nothing."""
    first, second = connect(simulator, "c"), connect(simulator, "c")
    events(second, "status")
    first.close()
    run(SLEEP)
    assert read_remaining(second) == []
    second.ping()
    assert second.recv_data(control_frame=True)[0] == websocket.ABNF.OPCODE_PONG


def test_features_count_only_in_the_first_message(
    simulator: SimulatorServer, connect: Connect, events: Events, read_remaining: ReadRemaining
) -> None:
    """The server accepts a declaration of features if it is the first valid message, and ignores a later one."""
    declaration = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
    early, late = connect(simulator, "a"), connect(simulator, "b")
    early.send("no JSON")
    early.send(declaration)
    assert events(early, "feature_flags")[-1]["data"]["supports_preview_metadata"] is True
    late.send('{"type": "other"}')
    late.send(declaration)
    events(late, "status")
    assert read_remaining(late) == []


def test_a_client_that_stops_reading_stalls_all_others(
    simulator: SimulatorServer,
    connect: Connect,
    post: Callable[..., str],
    events: Events,
    read_remaining: ReadRemaining,
) -> None:
    """Events of all clients wait for a client that does not read, while HTTP works; its disconnect releases them."""
    stalled = tcp.create_connection(("127.0.0.1", int(simulator.url.rsplit(":", 1)[1])))
    stalled.setsockopt(tcp.SOL_SOCKET, tcp.SO_RCVBUF, 1024)
    upgrade = "GET /ws?clientId=stalled HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    stalled.sendall(
        f"{upgrade}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert stalled.recv(100)
    healthy = connect(simulator, "c")
    events(healthy, "status")
    texts = ("x" * 20_000_000, "y")
    noisy, quiet = ({"class_type": "LabText", "inputs": {"image": ["1", 0], "text": text}} for text in texts)
    noisy_id = post({**SLEEP, "3": noisy}, client_id="stalled")
    prompt_id = post({**SLEEP, "3": quiet}, client_id="c")
    while requests.get(f"{simulator.url}/history/{prompt_id}", timeout=10).json() == {}:
        pass
    assert requests.get(f"{simulator.url}/history/{noisy_id}", timeout=10).json() != {}
    assert {message["type"] for message in read_remaining(healthy)} <= {"status"}
    stalled.close()
    assert events(healthy, "executing")[-1]["data"] == {"node": None, "prompt_id": prompt_id}
