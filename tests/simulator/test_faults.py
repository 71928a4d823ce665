"""Faults: each switch breaks one thing, and everything else keeps working."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
import websocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfyui_simulator import SimulatorServer

    Connect = Callable[[SimulatorServer, str], websocket.WebSocket]
    Events = Callable[..., list[dict[str, Any]]]
    ReadRemaining = Callable[[websocket.WebSocket], list[dict[str, Any]]]

PROMPT = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 1}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "f"}},
}
ENDLESS = {
    **PROMPT,
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
    "3": {
        "class_type": "LabSleep",
        "inputs": {"image": ["1", 0], "seconds": 60.0, "steps": 6000, "interruptible": True, "progress": True},
    },
}


def get(simulator: SimulatorServer, path: str) -> Any:  # noqa: ANN401  any JSON
    """Return the JSON response of a path."""
    return requests.get(f"{simulator.url}{path}", timeout=10).json()


def wait_for_history(simulator: SimulatorServer, prompt_id: str) -> dict[str, Any]:
    """Poll until a prompt has ended and return its history entry."""
    while not (history := get(simulator, f"/history/{prompt_id}")):
        pass
    return dict(history[prompt_id])


def test_requests_fail_as_often_as_configured(simulator: SimulatorServer) -> None:
    """Requests to a path get a status a number of times; other paths and later requests succeed."""
    simulator.faults.fail_requests("/queue", 503, times=2)
    statuses = [requests.get(f"{simulator.url}{path}", timeout=10).status_code for path in ("/queue", "/prompt")]
    statuses += [requests.get(f"{simulator.url}{path}", timeout=10).status_code for path in ("/api/queue", "/queue")]
    assert statuses == [503, 200, 503, 200]


def test_a_request_can_get_no_response(simulator: SimulatorServer) -> None:
    """A hanging request runs into the client's timeout, and does not keep the server from stopping."""
    simulator.faults.fail_requests("/queue", None)
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{simulator.url}/queue", timeout=0.1)


def test_silent_sockets_stay_open_while_http_works(
    simulator: SimulatorServer, connect: Connect, post: Callable[..., str], events: Events
) -> None:
    """A silent socket brings no messages and no pongs; the prompt runs all the same."""
    socket = connect(simulator, "c")
    events(socket, "status")
    simulator.faults.silent_sockets = True
    entry = wait_for_history(simulator, post(PROMPT, client_id="c"))
    assert entry["status"]["completed"] is True
    socket.ping()
    socket.settimeout(0.2)
    with pytest.raises(websocket.WebSocketTimeoutException):
        socket.recv_data(control_frame=True)


def test_clients_can_reconnect_after_closed_sockets(
    simulator: SimulatorServer, connect: Connect, events: Events
) -> None:
    """All sockets break without a closing handshake; new ones work."""
    socket = connect(simulator, "c")
    events(socket, "status")
    simulator.close_sockets()
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
        socket.recv()
    assert events(connect(simulator, "c"), "status")[0]["data"]["sid"] == "c"


def test_garbage_comes_between_valid_messages(
    simulator: SimulatorServer, connect: Connect, post: Callable[..., str], events: Events
) -> None:
    """Unreadable texts and too short binary frames come between the messages, none of which is lost."""
    socket = connect(simulator, "c")
    events(socket, "status")
    simulator.faults.garbage_frames = True
    post(PROMPT, client_id="c")
    valid: list[str] = []
    while not valid or valid[-1] != "execution_success":
        frame = socket.recv()
        if isinstance(frame, bytes):
            assert len(frame) < 4
            continue
        try:
            valid.append(json.loads(frame)["type"])
        except (ValueError, RecursionError):
            continue
    assert [event for event in valid if event != "status"][:3] == [
        "execution_start",
        "execution_cached",
        "progress_state",
    ]


def test_a_lost_prompt_is_neither_queued_nor_in_the_history(
    simulator: SimulatorServer, post: Callable[..., str]
) -> None:
    """The next prompt is in neither queue nor history; the one after it runs."""
    simulator.faults.lose_prompts = 1
    lost, kept = post(PROMPT), post(PROMPT)
    wait_for_history(simulator, kept)
    assert get(simulator, "/queue") == {"queue_running": [], "queue_pending": []}
    assert get(simulator, f"/history/{lost}") == {}
    simulator.lose_prompt(kept)
    assert get(simulator, "/history") == {}


def test_a_lost_interrupt_must_be_repeated(
    simulator: SimulatorServer, connect: Connect, post: Callable[..., str], events: Events
) -> None:
    """The first interrupt returns 200 and is ignored, the second one works."""
    simulator.faults.lose_interrupts = 1
    socket = connect(simulator, "c")
    prompt_id = post(ENDLESS, client_id="c")
    events(socket, "progress", "3")
    assert requests.post(f"{simulator.url}/interrupt", json={"prompt_id": prompt_id}, timeout=10).ok
    events(socket, "progress", "3")
    events(socket, "progress", "3")
    assert [item[1] for item in get(simulator, "/queue")["queue_running"]] == [prompt_id]
    requests.post(f"{simulator.url}/interrupt", json={"prompt_id": prompt_id}, timeout=10)
    assert events(socket, "executing")[-3]["type"] == "execution_interrupted"


def test_a_stuck_worker_ignores_interrupts_until_released(
    simulator: SimulatorServer,
    connect: Connect,
    post: Callable[..., str],
    events: Events,
    read_remaining: ReadRemaining,
) -> None:
    """A stuck worker makes no progress; once released, a waiting interrupt works."""
    socket = connect(simulator, "c")
    prompt_id = post(ENDLESS, client_id="c")
    events(socket, "progress", "3")
    simulator.faults.worker_stuck = True
    requests.post(f"{simulator.url}/interrupt", timeout=10)
    read_remaining(socket)
    assert read_remaining(socket) == []
    assert [item[1] for item in get(simulator, "/queue")["queue_running"]] == [prompt_id]
    simulator.faults.worker_stuck = False
    assert events(socket, "executing")[-3]["type"] == "execution_interrupted"


def test_a_dead_worker_leaves_its_prompt_running(
    simulator: SimulatorServer, connect: Connect, post: Callable[..., str], events: Events
) -> None:
    """A worker that dies leaves its prompt in the queue; a restart on the same address empties queue and history."""
    url = simulator.url
    socket = connect(simulator, "c")
    prompt_id = post(ENDLESS, client_id="c")
    events(socket, "progress", "3")
    simulator.faults.worker_dead = True
    waiting = post(PROMPT)
    queue = get(simulator, "/queue")
    assert [item[1] for item in queue["queue_running"] + queue["queue_pending"]] == [prompt_id, waiting]
    simulator.faults.worker_dead = False
    simulator.restart()
    assert simulator.url == url
    assert get(simulator, "/queue") == {"queue_running": [], "queue_pending": []}
    assert wait_for_history(simulator, post(PROMPT))["status"]["completed"] is True


def test_a_killed_server_breaks_connections_and_refuses_new_ones(
    simulator: SimulatorServer,
    connect: Connect,
    post: Callable[..., str],
    events: Events,
    read_remaining: ReadRemaining,
) -> None:
    """In the middle of a prompt: sockets break without a handshake, the port is closed, outputs stay on disk."""
    socket = connect(simulator, "c")
    file = wait_for_history(simulator, post(PROMPT))["outputs"]["2"]["images"][0]
    post(ENDLESS, client_id="c")
    events(socket, "progress", "3")
    simulator.kill()
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
        read_remaining(socket)
    with pytest.raises(requests.ConnectionError):
        get(simulator, "/queue")
    simulator.start()
    assert get(simulator, "/history") == {}
    assert requests.get(f"{simulator.url}/view", params=file, timeout=10).ok


def test_faults_can_be_set_over_http(simulator: SimulatorServer) -> None:
    """The control endpoint sets the same switches, and rejects others."""
    request = {"path": "/queue", "status": 502, "times": 1}
    switches = {"silent_sockets": True, "lose_prompts": 3, "requests": [request]}
    assert requests.post(f"{simulator.url}/simulator/faults", json=switches, timeout=10).ok
    assert (simulator.faults.silent_sockets, simulator.faults.lose_prompts) == (True, 3)
    assert requests.get(f"{simulator.url}/queue", timeout=10).status_code == 502
    for wrong in ({"no_such": True}, {"lose_prompts": "x"}, {"requests": [{"path": "/"}]}):
        assert requests.post(f"{simulator.url}/simulator/faults", json=wrong, timeout=10).status_code == 400
    assert requests.post(f"{simulator.url}/simulator/close_sockets", timeout=10).ok
    assert requests.post(f"{simulator.url}/simulator/lose_prompt/unknown", timeout=10).ok
