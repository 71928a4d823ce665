"""ComfyUI's HTTP API, as far as the executor uses it.

Every call is bounded in time. A connection that fails, or an answer that makes no sense, is a
ComfyUIUnreachableError: the caller decides whether to ask again.
"""

from __future__ import annotations

import itertools
import json
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import quote

import requests

from executor.comfyui.errors.allowed_values import AllowedValues
from executor.comfyui.errors.rejected import rejection
from executor.comfyui.history import Record
from gateway.domain.executor import Device
from gateway.domain.job import Priority
from gateway.errors import ComfyUISilentError, ComfyUIUnreachableError, OutputGoneError, OutputUnusableError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONNECT_SECONDS = 3
# ComfyUI answers from its event loop, which long imports and garbage collection can hold for a while.
_READ_SECONDS = 15
# Validating a graph can load model lists from slow disks.
_SUBMIT_SECONDS = 60
# It runs the lowest number first. To a prompt without one it gives the next of 0, 1, 2 …: those of normal priority
# take turns with what somebody queues in its own page.
_FIRST_NUMBERS = {Priority.HIGH: -1_000_000_000, Priority.LOW: 1_000_000_000}
_NO_MODELS = ("configs", "custom_nodes")  # folders that it lists among those of models
_MAX_TEXT = 200  # characters of what it says of itself
_MAX_INFO_BYTES = 4_000_000
_CHUNK_BYTES = 65_536
_NOT_HANDED_OUT = (400, 403)  # a name it takes for a trick, a folder outside its own


@dataclass(frozen=True, slots=True)
class ComfyFile:
    """A file that ComfyUI reports in a prompt's outputs."""

    filename: str
    subfolder: str
    type: str


@dataclass(frozen=True, slots=True)
class QueueState:
    """Which prompts ComfyUI runs and which wait."""

    running: frozenset[str]
    pending: frozenset[str]

    def __contains__(self, prompt_id: str) -> bool:
        return prompt_id in self.running or prompt_id in self.pending


@dataclass(frozen=True, slots=True)
class ComfyUIState:
    """What ComfyUI says of itself."""

    version: str | None
    device: Device | None  # the first one, which it computes on


class ComfyUI:
    """One ComfyUI server. Safe to use from several threads."""

    def __init__(self, url: str, max_connections: int = 16) -> None:
        self.url = url
        self._session = requests.Session()
        # Its neighbour on the same host: no proxy of the environment stands between.
        self._session.trust_env = False
        self._count = itertools.count()
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=max_connections)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def submit(
        self, prompt: Mapping[str, Any], *, prompt_id: str, client_id: str, priority: Priority, private: bool
    ) -> None:
        """Queue a prompt under our own id: before all that wait with a lower priority.

        Raises ComfyUIRejectedError when the graph is refused, also when it is refused in part: outputs
        would be missing; of a `private` prompt it repeats nothing. A 5xx may have queued it all the same, so it
        counts only when it did not.
        """
        body: dict[str, Any] = {"prompt": prompt, "prompt_id": prompt_id, "client_id": client_id}
        if priority in _FIRST_NUMBERS:
            body["number"] = _FIRST_NUMBERS[priority] + next(self._count)
        answer = self._request("POST", "/prompt", json=body, seconds=_SUBMIT_SECONDS)
        if answer.status_code == requests.codes.ok:
            said = _json_object(answer)
            if said.get("node_errors"):
                self.remove(prompt_id)
                raise rejection(said, prompt, AllowedValues(self.object_info), private=private)
        elif 400 <= answer.status_code < 500:  # noqa: PLR2004  the class of client errors
            raise rejection(_json_object(answer), prompt, AllowedValues(self.object_info), private=private)
        elif prompt_id not in self.queue() and self.history(prompt_id) is None:
            raise ComfyUIUnreachableError(f"ComfyUI answered {answer.status_code} to the prompt.")

    def object_info(self, class_type: str, seconds: float) -> dict[str, Any]:
        """Read what it says of a class of nodes; nothing of a class that it does not have.

        Raises ComfyUIUnreachableError when that takes longer, or is more, than an answer of that kind is worth.
        """
        deadline = time.monotonic() + seconds
        answer = self._request("GET", f"/object_info/{quote(class_type, safe='')}", stream=True, seconds=seconds)
        content = bytearray()
        with closing(answer):
            try:
                for chunk in answer.iter_content(_CHUNK_BYTES):
                    content += chunk
                    if len(content) > _MAX_INFO_BYTES or time.monotonic() > deadline:
                        raise ComfyUIUnreachableError("ComfyUI says too much of a class of nodes.")
                said = json.loads(content)
            except (requests.RequestException, ValueError) as error:
                raise ComfyUIUnreachableError("ComfyUI does not say what a class of nodes is.") from error
        return said if isinstance(said, dict) else {}

    def history(self, prompt_id: str) -> Record | None:
        """Read the record of an ended prompt; None as long as there is none."""
        entry = self._json("GET", f"/history/{prompt_id}").get(prompt_id)
        return Record(prompt_id, entry) if isinstance(entry, dict) else None

    def queue(self) -> QueueState:
        """Read which prompts run and which wait."""
        state = self._json("GET", "/queue")
        running, pending = (
            frozenset(item[1] for item in state.get(name) or [] if isinstance(item, list) and len(item) > 1)
            for name in ("queue_running", "queue_pending")
        )
        return QueueState(running=running, pending=pending)

    def remove(self, prompt_id: str) -> None:
        """Take a prompt out, whether it waits or runs; nothing happens when it does neither.

        An interrupt can be lost: look, and repeat.
        """
        # Newer servers have this one call; it says 200 too when there is nothing to cancel.
        if self._request("POST", f"/api/jobs/{prompt_id}/cancel").status_code == requests.codes.ok:
            return
        self.remove_waiting(prompt_id)
        # Servers of before September 2025 do not look at the id, and interrupt whatever runs.
        if prompt_id in self.queue().running:
            self._request("POST", "/interrupt", json={"prompt_id": prompt_id})

    def remove_waiting(self, prompt_id: str) -> None:
        """Take a prompt out that waits; nothing happens when it does not."""
        self._request("POST", "/queue", json={"delete": [prompt_id]})

    def free(self) -> None:
        """Have it give back, as soon as no prompt runs, the memory that models and results of earlier prompts take."""
        self._request("POST", "/free", json={"unload_models": True, "free_memory": True})

    def forget(self, prompt_id: str) -> None:
        """Take a prompt out of the history; nothing happens when it is not there."""
        self._request("POST", "/history", json={"delete": [prompt_id]})

    def writes_metadata(self) -> bool:
        """Tell whether it writes prompts into the files that it saves, going by how it was started."""
        system = self._json("GET", "/system_stats").get("system")
        arguments = system.get("argv") if isinstance(system, dict) else None
        return not isinstance(arguments, list) or "--disable-metadata" not in arguments

    def state(self) -> ComfyUIState:
        """Ask how it is; the cheapest question that shows whether it answers."""
        answer = self._json("GET", "/system_stats")
        system, devices = answer.get("system"), answer.get("devices")
        version = system.get("comfyui_version") if isinstance(system, dict) else None
        return ComfyUIState(
            version=_text(version) if isinstance(version, str) else None,
            device=_device(devices[0]) if isinstance(devices, list) and devices else None,
        )

    def models(self) -> dict[str, list[str]]:
        """List the model files that it can load, by its folders."""
        folders = _strings(self._request("GET", "/models"))
        return {
            folder: _strings(self._request("GET", f"/models/{quote(folder, safe='')}"))
            for folder in folders
            if folder not in _NO_MODELS
        }

    def open_file(self, file: ComfyFile, shown: str) -> BinaryIO:
        """Open a file for reading as a stream; the caller closes it. `shown`: what errors call it.

        Raises OutputGoneError when ComfyUI has it no more, OutputUnusableError when it does not hand it out.
        """
        if not (file.filename + file.subfolder).isprintable():
            # ComfyUI puts the name into a header of its answer, and breaks off where HTTP allows no such name.
            raise OutputUnusableError(f"The output {shown} has characters in its name that cannot be sent.")
        params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        answer = self._request("GET", "/view", params=params, stream=True)
        if answer.status_code != requests.codes.ok:
            answer.close()
            if answer.status_code in _NOT_HANDED_OUT:
                raise OutputUnusableError(f"ComfyUI does not hand out the output {shown} ({answer.status_code}).")
            raise OutputGoneError(f"ComfyUI no longer has the output {shown} ({answer.status_code}).")
        answer.raw.decode_content = True
        return cast("BinaryIO", answer.raw)

    def _json(self, method: str, path: str) -> dict[str, Any]:
        answer = self._request(method, path)
        if answer.status_code != requests.codes.ok:
            raise ComfyUIUnreachableError(f"ComfyUI answered {answer.status_code} to {path.split('/')[1]}.")
        return _json_object(answer)

    def _request(  # noqa: PLR0913  what requests takes
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, str] | None = None,
        stream: bool = False,
        seconds: float = _READ_SECONDS,
    ) -> requests.Response:
        try:
            return self._session.request(
                method,
                self.url + path,
                json=json,
                params=params,
                stream=stream,
                timeout=(_CONNECT_SECONDS, seconds),
                allow_redirects=False,
            )
        except requests.ReadTimeout as error:
            raise ComfyUISilentError(f"ComfyUI did not answer within {seconds:g} s.") from error
        except requests.RequestException as error:
            # The error's own text holds addresses; its kind says enough.
            raise ComfyUIUnreachableError(f"ComfyUI does not answer ({type(error).__name__}).") from error


def _json_object(answer: requests.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except (requests.JSONDecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ComfyUIUnreachableError(f"ComfyUI's answer ({answer.status_code}) is not what ComfyUI says.")
    return value


def _strings(answer: requests.Response) -> list[str]:
    """Read a list of strings; what is none has none."""
    try:
        value = answer.json() if answer.status_code == requests.codes.ok else None
    except (requests.JSONDecodeError, RecursionError):
        value = None
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _text(said: str) -> str:
    return "".join(character for character in said[:_MAX_TEXT] if character.isprintable())


def _device(said: object) -> Device | None:
    if not isinstance(said, dict):
        return None
    name, total, free = (said.get(key) for key in ("name", "vram_total", "vram_free"))
    if not isinstance(name, str) or not isinstance(total, int) or not isinstance(free, int):
        return None
    return Device(name=_text(name), vram_total_bytes=max(0, total), vram_free_bytes=max(0, free))
