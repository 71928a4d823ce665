"""Queue and history: order, deletion and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from comfyui_simulator import SimulatorServer, SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    import websocket

LONG_SECONDS = 30.0


def image(color: int) -> dict[str, Any]:
    """Return a prompt that saves an image of one color."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": color}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "q"}},
    }


def sleep(seconds: float = LONG_SECONDS) -> dict[str, Any]:
    """Return a prompt that runs for some time."""
    inputs = {"image": ["1", 0], "seconds": seconds, "steps": 100, "interruptible": True, "progress": True}
    return {
        "1": image(1)["1"],
        "3": {"class_type": "LabSleep", "inputs": inputs},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
    }


def get(simulator: SimulatorServer, path: str) -> Any:  # noqa: ANN401  any JSON
    """Return the JSON response of a path."""
    return requests.get(f"{simulator.url}{path}", timeout=10).json()


def busy(
    simulator: SimulatorServer,
    connect: Callable[[SimulatorServer, str], websocket.WebSocket],
    post: Callable[..., str],
    events: Callable[..., list[dict[str, Any]]],
) -> tuple[str, websocket.WebSocket]:
    """Start a long prompt; return its id and its client's socket."""
    socket = connect(simulator, "busy")
    prompt_id = post(sleep(), client_id="busy")
    events(socket, "executing", "3")
    return prompt_id, socket


def test_deleting_and_clearing_do_not_affect_the_running_prompt(
    simulator: SimulatorServer,
    connect: Callable[[SimulatorServer, str], websocket.WebSocket],
    post: Callable[..., str],
    events: Callable[..., list[dict[str, Any]]],
) -> None:
    """Waiting prompts can be deleted completely; the running one and unknown ids are ignored."""
    running, _ = busy(simulator, connect, post, events)
    first, second, third = (post(image(color)) for color in range(3))
    deletion = requests.post(f"{simulator.url}/queue", json={"delete": [first, running, "unknown"]}, timeout=10)
    queue = get(simulator, "/queue")
    assert deletion.ok
    assert [item[1] for item in queue["queue_running"]] == [running]
    assert [item[1] for item in queue["queue_pending"]] == [second, third]
    requests.post(f"{simulator.url}/queue", json={"clear": True}, timeout=10)
    assert get(simulator, "/queue")["queue_pending"] == []
    assert get(simulator, "/prompt") == {"exec_info": {"queue_remaining": 1}}
    assert get(simulator, f"/history/{first}") == {}


def test_an_id_can_be_queued_twice(
    simulator: SimulatorServer,
    connect: Callable[[SimulatorServer, str], websocket.WebSocket],
    post: Callable[..., str],
    events: Callable[..., list[dict[str, Any]]],
) -> None:
    """The same id twice is two prompts; deleting it deletes one. The same number, too, is a 500, and runs."""
    busy(simulator, connect, post, events)
    post(image(1), prompt_id="same")
    post(image(2), prompt_id="same")
    requests.post(f"{simulator.url}/queue", json={"delete": ["same"]}, timeout=10)
    assert [item[1] for item in get(simulator, "/queue")["queue_pending"]] == ["same"]
    requests.post(f"{simulator.url}/queue", json={"clear": True}, timeout=10)
    post(image(3), prompt_id="twin", number=50)
    body = {"prompt": image(4), "prompt_id": "twin", "number": 50}
    assert requests.post(f"{simulator.url}/prompt", json=body, timeout=10).status_code == 500
    assert [item[1] for item in get(simulator, "/queue")["queue_pending"]] == ["twin", "twin"]


def test_history_pages_and_limit(
    start: Callable[[SimulatorSettings], SimulatorServer],
    connect: Callable[[SimulatorServer, str], websocket.WebSocket],
    events: Callable[..., list[dict[str, Any]]],
) -> None:
    """The history keeps the newest prompts up to its size, in order, and returns them in pages."""
    simulator = start(SimulatorSettings(max_history=4, history_lag_seconds=(0.0, 0.0)))
    socket = connect(simulator, "c")
    ids = []
    for color in range(6):
        body = {"prompt": image(color), "client_id": "c", "extra_data": {"a": 1, "api_key_comfy_org": "secret"}}
        ids.append(requests.post(f"{simulator.url}/prompt", json=body, timeout=10).json()["prompt_id"])
        events(socket, "executing")
    assert list(get(simulator, "/history")) == ids[2:]
    assert list(get(simulator, "/history?max_items=2")) == ids[4:]
    assert list(get(simulator, "/history?max_items=2&offset=1")) == ids[3:5]
    assert list(get(simulator, "/history?offset=3")) == ids[5:]
    assert "secret" not in requests.get(f"{simulator.url}/history", timeout=10).text
    requests.post(f"{simulator.url}/history", json={"delete": [ids[5], "unknown"]}, timeout=10)
    assert list(get(simulator, "/history")) == ids[2:5]
    requests.post(f"{simulator.url}/history", json={"clear": True}, timeout=10)
    assert get(simulator, "/history") == {}


def test_the_history_lags_behind_the_success_event(
    start: Callable[[SimulatorSettings], SimulatorServer],
    connect: Callable[[SimulatorServer, str], websocket.WebSocket],
    events: Callable[..., list[dict[str, Any]]],
) -> None:
    """After execution_success a prompt still runs and has no history; after executing null it has."""
    simulator = start(SimulatorSettings(history_lag_seconds=(0.5, 0.5)))
    socket = connect(simulator, "c")
    body = {"prompt": image(1), "client_id": "c"}
    prompt_id = requests.post(f"{simulator.url}/prompt", json=body, timeout=10).json()["prompt_id"]
    events(socket, "execution_success")
    assert get(simulator, f"/history/{prompt_id}") == {}
    assert [item[1] for item in get(simulator, "/queue")["queue_running"]] == [prompt_id]
    events(socket, "executing")
    assert list(get(simulator, f"/history/{prompt_id}")) == [prompt_id]


@pytest.mark.parametrize(
    "unneeded",
    [
        {"7": {"class_type": "ImageInvert", "inputs": {"image": ["7", 0]}}},
        {"7": {"class_type": "ImageInvert", "inputs": {"image": ["99", 0]}}},
        {"7": {"class_type": "LoadImage", "inputs": {}}},
        {"7": {"class_type": "LoadImage", "inputs": {"image": "../../x.png"}}},
    ],
)
def test_nodes_that_no_output_needs_may_be_faulty(
    simulator: SimulatorServer, run: Callable[[dict[str, Any]], dict[str, Any]], unneeded: dict[str, Any]
) -> None:
    """A cycle, a link to nowhere or a missing file do not matter where no output needs them."""
    assert run({**image(1), **unneeded})["status"]["status_str"] == "success"
    assert run({**image(1), **unneeded})["status"]["messages"][1][1]["nodes"] == ["1", "2"]
    assert get(simulator, "/queue")["queue_running"] == []


def test_an_unneeded_node_without_inputs_kills_the_worker(simulator: SimulatorServer, post: Callable[..., str]) -> None:
    """It passes validation, as on the real server, and the prompt never ends (measured)."""
    prompt_id = post({**image(1), "7": {"class_type": "ImageInvert"}}, client_id=["odd"])
    while not (running := get(simulator, "/queue")["queue_running"]):
        pass
    assert running[0][1] == prompt_id
    waiting = post(image(2))
    assert [item[1] for item in get(simulator, "/queue")["queue_pending"]] == [waiting]


def test_a_body_over_100_mb_is_rejected(simulator: SimulatorServer) -> None:
    """One byte over the limit is a 413."""
    response = requests.post(f"{simulator.url}/prompt", data=bytes(100 * 1024 * 1024 + 1), timeout=10)
    assert (response.status_code, response.text) == (413, "Maximum request body size 104857600 exceeded.")
