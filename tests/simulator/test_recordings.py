"""Replay requests to real servers, and compare the responses and events of the simulator with the recorded ones."""

from __future__ import annotations

import io
import json
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from PIL import Image

from comfyui_simulator import SimulatorServer, SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    import websocket

RECORDINGS = Path(__file__).parent / "recordings"
TIMEOUT_SECONDS = 10

SETTINGS = SimulatorSettings(
    checkpoints=("nano_sd15.safetensors", "random_sd15.safetensors", "tiny_sd15.safetensors"),
    seconds_per_step=0.0,
    history_lag_seconds=(0.0, 0.0),
)
# Long enough for a request to arrive within a step.
SLOW = SimulatorSettings(checkpoints=SETTINGS.checkpoints, seconds_per_step=0.3)

# Values that differ from run to run; their types still have to match.
VARYING = {"timestamp", "create_time", "number", "vram_total", "vram_free", "torch_vram_total", "torch_vram_free"}
# How long a node sleeps is shortened for the replay.
SHORTENED = {"seconds"}
SLEEP_SHARE = 0.1

FILE_NAME = re.compile(r"_\d{5}_|temp_[a-z]{5}|^\d{4}-")
NUMBER = re.compile(r"\d+\.\d*")


class Replay:
    """One server and its client, and the mapping of recorded ids and file names to this run."""

    def __init__(self, server: SimulatorServer, connect: Callable[[SimulatorServer, str], websocket.WebSocket]) -> None:
        self.server = server
        self._connect = connect
        self._socket: websocket.WebSocket | None = None
        self._names: dict[str, str] = {}
        self._last_remaining: int | None = None
        self._uploads = 0

    def play(self, recording: str, *, feature_flags: bool = False) -> None:
        """Make the recorded requests in order, and compare all responses and events."""
        steps = json.loads((RECORDINGS / f"{recording}.json").read_text())
        if any("sid" in step.get("ws", {}).get("data", {}) for step in steps) or self._socket is None:
            self._socket = self._connect(self.server, "CLIENT")
            if feature_flags:
                declaration = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
                self._socket.send(json.dumps(declaration))
        wanted = {step["ws"]["type"] for step in steps if "ws" in step}
        only_ends = wanted == {"executing"} and all(
            step["ws"]["data"]["node"] is None for step in steps if "ws" in step
        )
        for index, step in enumerate(steps):
            where = f"{recording}, line {index + 2}"
            if "http" in step:
                self._request(step["http"], where)
            else:
                actual = self._next_message(wanted, only_ends=only_ends)
                self._compare(step["ws"], actual, where)

    def _next_message(self, wanted: set[str], *, only_ends: bool) -> dict[str, Any]:
        assert self._socket is not None
        while True:
            frame = self._socket.recv()
            message = describe_binary(frame) if isinstance(frame, bytes) else json.loads(frame)
            if message["type"] not in wanted or (only_ends and message["data"]["node"] is not None):
                continue
            if message["type"] == "status":
                # Status messages repeat themselves, how often is a matter of timing.
                remaining = message["data"]["status"]["exec_info"]["queue_remaining"]
                if remaining == self._last_remaining and "sid" not in message["data"]:
                    continue
                self._last_remaining = remaining
            return dict(message)

    def _request(self, step: dict[str, Any], where: str) -> None:
        request = self._translated(step["request"])
        arguments: dict[str, Any] = {"params": request.get("params"), "headers": request.get("headers")}
        if "form" in request:
            arguments |= self._upload(request["form"])
        elif "json" in request:
            arguments["json"] = shortened(request["json"])
        elif step.get("case") == "bad_json":
            arguments["data"] = b"{bad"
        url = self.server.url + request["path"]
        response = requests.request(request["method"], url, timeout=TIMEOUT_SECONDS, **arguments)
        where = f"{where} ({request['method']} {request['path']} {step.get('case', '')})"
        assert response.status_code == step["status"], f"{where}: {response.text[:500]}"
        if "content_type" in step:
            assert response.headers["Content-Type"].split(";")[0] == step["content_type"], where
        if isinstance(step["body"], str):
            assert response.text == step["body"], where
        elif step["body"] is not None:
            self._compare(step["body"], response.json(), where)

    def _upload(self, form: dict[str, str]) -> dict[str, Any]:
        # The contents were not recorded; the first two were the same, and all were images of 16 x 16.
        self._uploads += 1
        buffer = io.BytesIO()
        Image.new("RGB", (16, 16), (max(2, self._uploads), 0, 0)).save(buffer, "PNG")
        name = form["filename"].replace("../", "..%2F")
        fields = {name: value for name, value in form.items() if name not in ("file_field", "filename")}
        return {"files": {form["file_field"]: (name, buffer.getvalue())}, "data": fields}

    def _translated(self, recorded: Any) -> Any:  # noqa: ANN401  any JSON
        if isinstance(recorded, dict):
            return {self._translated(name): self._translated(value) for name, value in recorded.items()}
        if isinstance(recorded, list):
            return [self._translated(value) for value in recorded]
        if isinstance(recorded, str):
            for old, new in self._names.items():
                recorded = recorded.replace(old, new)
        return recorded

    def _compare(self, recorded: Any, actual: Any, where: str, key: str = "") -> None:  # noqa: ANN401  any JSON
        if key in VARYING | SHORTENED or recorded is None:
            assert recorded is None or type(recorded) is type(actual), f"{where}: {actual!r} for {recorded!r}"
        elif isinstance(recorded, dict):
            self._compare_objects(recorded, actual, where)
        elif isinstance(recorded, list):
            self._compare_lists(recorded, actual, where, key)
        elif isinstance(recorded, str):
            self._compare_texts(recorded, actual, where, key)
        else:
            assert (type(recorded), recorded) == (type(actual), actual), f"{where}.{key}"

    def _compare_objects(self, recorded: dict[str, Any], actual: dict[str, Any], where: str) -> None:
        recorded = {self._names.get(name, name): value for name, value in recorded.items()}
        # Only the newer of the two recorded versions reports when a prompt was created.
        actual = {name: value for name, value in actual.items() if name in recorded or name != "create_time"}
        assert set(recorded) == set(actual), where
        for name, value in recorded.items():
            self._compare(value, actual[name], f"{where}.{name}", name)

    def _compare_lists(self, recorded: list[Any], actual: list[Any], where: str, key: str) -> None:
        if key == "traceback":
            assert bool(recorded) == bool(actual), where
            return
        assert len(recorded) == len(actual), f"{where}: {actual!r} for {recorded!r}"
        if all(isinstance(value, str) for value in recorded) and key != "images":
            # Node ids and similar lists come from sets on the real server, so their order is arbitrary.
            recorded, actual = sorted(self._translated(recorded)), sorted(actual)
        for index, (one, other) in enumerate(zip(recorded, actual, strict=True)):
            # The first of a queue item's parts is its number.
            part = "number" if isinstance(one, int | float) and index == 0 and len(recorded) == 5 else key
            self._compare(one, other, f"{where}[{index}]", part)

    def _compare_texts(self, recorded: str, actual: str, where: str, key: str) -> None:
        assert isinstance(actual, str), where
        if recorded in self._names:
            assert actual == self._names[recorded], where
        elif key in ("prompt_id", "filename") and recorded != actual:
            assert FILE_NAME.sub("", recorded) == FILE_NAME.sub("", actual) or key == "prompt_id", where
            self._names[recorded] = actual
        elif recorded.startswith("tensor("):
            # The simulator stores pixels as integers, so a printed fraction may differ by one of them.
            assert NUMBER.sub("", actual) == NUMBER.sub("", recorded), where
            expected = [float(number) for number in NUMBER.findall(recorded)]
            assert [float(number) for number in NUMBER.findall(actual)] == pytest.approx(expected, abs=1 / 255), where
        elif "<root>" in recorded:
            assert actual.splitlines()[0] == recorded.splitlines()[0], where
        else:
            # How many samplers there are depends on the version.
            recorded, actual = (re.sub(r"\(list of length \d+\)", "(list)", text) for text in (recorded, actual))
            assert actual == self._translated(recorded), where


def shortened(body: Any) -> Any:  # noqa: ANN401  any JSON
    """Return a request body with shorter sleeps."""
    if isinstance(body, dict):
        return {name: value * SLEEP_SHARE if name in SHORTENED else shortened(value) for name, value in body.items()}
    return [shortened(value) for value in body] if isinstance(body, list) else body


def describe_binary(frame: bytes) -> dict[str, Any]:
    """Return a binary message in the form in which it was recorded."""
    (event_type, number) = struct.unpack(">II", frame[:8])
    content = frame[8:]
    data: dict[str, Any] = {"event_type": event_type}
    if event_type == 3:
        data |= {"node_id": content[:number].decode(), "text": content[number:].decode()}
    elif event_type == 4:
        data |= {"metadata": json.loads(content[:number]), "image_magic_hex": content[number : number + 8].hex()}
    else:
        data |= {"image_type": number, "image_magic_hex": content[:8].hex()}
    return {"type": "binary", "data": data}


@pytest.fixture
def replay(
    start: Callable[[SimulatorSettings], SimulatorServer],
    connect: Callable[[SimulatorServer, str], websocket.WebSocket],
) -> Callable[[SimulatorSettings], Replay]:
    """Start a server to replay recordings on."""
    return lambda settings: Replay(start(settings), connect)


def test_an_empty_image_is_saved(replay: Callable[[SimulatorSettings], Replay]) -> None:
    """EmptyImage to SaveImage: messages, their order and fields, and the history entry."""
    replay(SETTINGS).play("01_emptyimage_success")


def test_sampling_reports_steps_and_previews_and_is_cached(replay: Callable[[SimulatorSettings], Replay]) -> None:
    """A sampled image, the same again from the cache with and without client id, then previews with metadata."""
    session = replay(SETTINGS)
    session.play("02_ksampler_success_no_feature_flags")
    session.play("04_cached_rerun_with_client_id")
    session.play("04b_cached_rerun_without_client_id")
    session.play("03_ksampler_success_feature_flags", feature_flags=True)


@pytest.mark.parametrize(
    "recording", ["05_interrupt_no_body", "06_interrupt_with_prompt_id", "07b_interrupt_when_idle_then_prompt"]
)
def test_interrupts_take_effect_between_steps(replay: Callable[[SimulatorSettings], Replay], recording: str) -> None:
    """An interrupt ends the running prompt at its next step; one for another prompt, or an idle server, does not."""
    session = replay(SLOW)
    if recording != "07b_interrupt_when_idle_then_prompt":
        warm_up(session.server)
    session.play(recording)


def test_a_node_that_ignores_interrupts_ends_first(replay: Callable[[SimulatorSettings], Replay]) -> None:
    """An interrupt during a node that does not check for it takes effect at the next node."""
    replay(SETTINGS).play("07_interrupt_during_uninterruptible_node")


def test_node_errors_keep_other_outputs(replay: Callable[[SimulatorSettings], Replay]) -> None:
    """Errors of all kinds, with inputs that leak, outputs of other nodes kept, and cached nodes in the next run."""
    session = replay(SETTINGS)
    for kind in ("ValueError", "RuntimeError", "OOM", "torchOOM", "MemoryError"):
        session.play(f"09_node_raises_{kind}")


def test_prompts_are_rejected_for_the_same_reasons(replay: Callable[[SimulatorSettings], Replay]) -> None:
    """Every recorded rejection: status, error type, message, details, extra info and node errors."""
    replay(SETTINGS).play("10_rejected_prompts")


def test_numbers_set_the_order(replay: Callable[[SimulatorSettings], Replay]) -> None:
    """Lowest number first, `front` before all, and a queue that is listed in the order of its heap."""
    session = replay(SETTINGS)
    with requests.Session() as http:
        for _ in range(316):  # as many prompts came before; rejected ones count, too
            http.post(f"{session.server.url}/prompt", json={}, timeout=TIMEOUT_SECONDS)
    session.play("11_priority")


def test_without_client_id_some_messages_go_to_all(replay: Callable[[SimulatorSettings], Replay]) -> None:
    """Progress is broadcast, events about the end are not."""
    replay(SETTINGS).play("12_no_client_id_A")


def test_endpoints_return_the_same(replay: Callable[[SimulatorSettings], Replay]) -> None:
    """History, queue, models, files, uploads, and all their errors."""
    replay(SETTINGS).play("13_endpoints")


def test_a_dead_worker_leaves_http_healthy(replay: Callable[[SimulatorSettings], Replay]) -> None:
    """SystemExit in a node: its prompt never ends, later ones wait forever, and HTTP works."""
    replay(SETTINGS).play("18_worker_thread_dies_on_BaseException")


def test_outputs_of_all_kinds(replay: Callable[[SimulatorSettings], Replay]) -> None:
    """Batches, previews, animations, video, sound, text, latents and outputs of custom nodes."""
    session = replay(SETTINGS)
    upload = {"image": ("tone.wav", b"RIFF")}
    assert requests.post(f"{session.server.url}/upload/image", files=upload, timeout=TIMEOUT_SECONDS).ok
    session.play("19_output_kinds")


def test_websocket_images_texts_blocks_and_expansions(replay: Callable[[SimulatorSettings], Replay]) -> None:
    """Less common nodes: images and texts over the WebSocket, blocked branches, nodes that expand into others."""
    session = replay(SETTINGS)
    session.play("20_SaveImageWebsocket")
    session.play("21_progress_text")
    session.play("22_execution_blocked_with_message")
    session.play("23_execution_blocked_silent")
    session.play("24_subgraph_expansion")
    session.play("25_subgraph_expansion_inner_error")


def warm_up(server: SimulatorServer) -> None:
    """Let the server know the nodes up to the sampler, as it did when interrupts were recorded."""
    steps = json.loads((RECORDINGS / "05_interrupt_no_body.json").read_text())
    body = next(step["http"]["request"]["json"] for step in steps if "http" in step)
    body["prompt"]["3"]["inputs"] |= {"steps": 1, "seed": 1}
    prompt_id = requests.post(f"{server.url}/prompt", json=body, timeout=TIMEOUT_SECONDS).json()["prompt_id"]
    while requests.get(f"{server.url}/history/{prompt_id}", timeout=TIMEOUT_SECONDS).json() == {}:
        pass
