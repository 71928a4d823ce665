"""HTTP client for the parts of ComfyUI's API that the executor uses.

Every call has a timeout. A failed connection, or a response that is not ComfyUI's, raises ComfyUIUnreachableError: the
caller decides whether to retry.
"""

from __future__ import annotations

import itertools
import json
import uuid
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import quote

import requests

from executor.comfyui.errors.rejected import AllowedValues, rejection
from executor.comfyui.history import HistoryEntry
from gateway.domain.executor import Device
from gateway.domain.job import Priority
from gateway.errors import ComfyUISilentError, ComfyUIUnreachableError, OutputGoneError, OutputUnusableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.ports import Clock

_CONNECT_SECONDS = 3
# ComfyUI responds from its event loop, which long imports and garbage collection can block for a while.
_READ_SECONDS = 15
# Validating a graph can load model lists from slow disks.
_SUBMIT_SECONDS = 60
# ComfyUI runs the prompt with the lowest number first. A prompt without a number gets the next of 0, 1, 2 …: prompts of
# normal priority take turns with those that someone queues in ComfyUI's own page.
_FIRST_NUMBERS = {Priority.HIGH: -1_000_000_000, Priority.LOW: 1_000_000_000}
_FOLDERS_WITHOUT_MODELS = ("configs", "custom_nodes")  # ComfyUI lists them among the model folders
_MAX_TEXT_CHARACTERS = 200  # of version and device name
_MAX_OBJECT_INFO_BYTES = 4_000_000
_CHUNK_BYTES = 65_536
# Marks the prompts of executors in ComfyUI's queue: the client id is part of their entry there.
_CLIENT_ID_PREFIX = "comfyui-gateway-"
_REFUSED_FILE_STATUSES = (400, 403)  # a suspicious file name, or a folder outside of ComfyUI's own


@dataclass(frozen=True, slots=True)
class ComfyUIFile:
    """A file that ComfyUI reports in a prompt's outputs."""

    filename: str
    subfolder: str
    type: str


@dataclass(frozen=True, slots=True)
class ComfyUIQueue:
    """The ids of the prompts that ComfyUI runs and of those that wait."""

    running: frozenset[str]
    pending: frozenset[str]

    def __contains__(self, prompt_id: str) -> bool:
        return prompt_id in self.running or prompt_id in self.pending


@dataclass(frozen=True, slots=True)
class SystemStats:
    """ComfyUI's version and device."""

    version: str | None
    device: Device | None  # the first one, which ComfyUI computes on


class ComfyUIClient:
    """Client of one ComfyUI server. Safe to use from several threads."""

    def __init__(self, url: str, clock: Clock, max_connections: int = 16) -> None:
        self.url = url
        self._clock = clock
        self._session = requests.Session()
        # ComfyUI is on the same host: ignore proxies in the environment.
        self._session.trust_env = False
        self._submissions = itertools.count()
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=max_connections)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def submit(
        self, prompt: Mapping[str, Any], *, prompt_id: str, client_id: str, priority: Priority, private: bool
    ) -> None:
        """Queue a prompt under our own id, ahead of all waiting prompts with a lower priority.

        Raises ComfyUIRejectedError when the graph is rejected, in whole or in part: outputs would be missing. For a
        `private` prompt the error repeats nothing of it. After a 5xx response the prompt may be queued all the same:
        ComfyUIUnreachableError is raised only if it is not.
        """
        body: dict[str, Any] = {"prompt": prompt, "prompt_id": prompt_id, "client_id": client_id}
        if priority in _FIRST_NUMBERS:
            body["number"] = _FIRST_NUMBERS[priority] + next(self._submissions)
        response = self._request("POST", "/prompt", json=body, seconds=_SUBMIT_SECONDS)
        allowed_values = AllowedValues(self.object_info, self._clock)
        if response.status_code == requests.codes.ok:
            result = _json_object(response)
            if result.get("node_errors"):
                self.cancel(prompt_id)
                raise rejection(result, prompt, allowed_values, private=private)
        elif 400 <= response.status_code < 500:  # noqa: PLR2004  the class of client errors
            raise rejection(_json_object(response), prompt, allowed_values, private=private)
        elif prompt_id not in self.queue() and self.history(prompt_id) is None:
            raise ComfyUIUnreachableError(f"ComfyUI responded with {response.status_code} to the prompt.")

    def object_info(self, class_type: str, seconds: float) -> dict[str, Any]:
        """Read ComfyUI's description of a node class; empty for a class that it does not have.

        Raises ComfyUIUnreachableError when reading takes longer than this, or the description is too large.
        """
        deadline = self._clock.monotonic() + seconds
        response = self._request("GET", f"/object_info/{quote(class_type, safe='')}", stream=True, seconds=seconds)
        content = bytearray()
        with closing(response):
            try:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    content += chunk
                    if len(content) > _MAX_OBJECT_INFO_BYTES or self._clock.monotonic() > deadline:
                        raise ComfyUIUnreachableError("ComfyUI's description of a node class is too large or too slow.")
                info = json.loads(content)
            except (requests.RequestException, ValueError) as error:
                raise ComfyUIUnreachableError("ComfyUI's description of a node class could not be read.") from error
        return info if isinstance(info, dict) else {}

    def history(self, prompt_id: str) -> HistoryEntry | None:
        """Read the history entry of a finished prompt; None while there is none."""
        entry = self._json("GET", f"/history/{prompt_id}").get(prompt_id)
        return HistoryEntry(prompt_id, entry) if isinstance(entry, dict) else None

    def delete_history(self, prompt_id: str) -> None:
        """Delete a prompt's history entry; does nothing when there is none."""
        self._request("POST", "/history", json={"delete": [prompt_id]})

    def queue(self) -> ComfyUIQueue:
        """Read which prompts run and which wait."""
        state = self._json("GET", "/queue")
        running, pending = (
            frozenset(item[1] for item in state.get(name) or [] if isinstance(item, list) and len(item) > 1)
            for name in ("queue_running", "queue_pending")
        )
        return ComfyUIQueue(running=running, pending=pending)

    def executors_prompts(self) -> list[str]:
        """List the prompts that run or wait and that an executor submitted, this one or another."""
        state = self._json("GET", "/queue")
        items = [item for name in ("queue_running", "queue_pending") for item in state.get(name) or []]
        return [str(item[1]) for item in items if _is_of_executor(item)]

    def cancel(self, prompt_id: str) -> None:
        """Cancel a prompt that waits or runs; does nothing when it does neither.

        ComfyUI can lose an interrupt: check the queue, and repeat.
        """
        # Newer servers have this one call. It returns 200 also when there is nothing to cancel.
        if self._request("POST", f"/api/jobs/{prompt_id}/cancel").status_code == requests.codes.ok:
            return
        self.cancel_pending(prompt_id)
        # Servers from before September 2025 ignore the id and interrupt whatever runs.
        if prompt_id in self.queue().running:
            self._request("POST", "/interrupt", json={"prompt_id": prompt_id})

    def cancel_pending(self, prompt_id: str) -> None:
        """Cancel a prompt that waits; does nothing when it does not."""
        self._request("POST", "/queue", json={"delete": [prompt_id]})

    def free_memory(self) -> None:
        """Unload models and cached results of earlier prompts, as soon as no prompt runs."""
        self._request("POST", "/free", json={"unload_models": True, "free_memory": True})

    def writes_metadata(self) -> bool:
        """Return whether ComfyUI writes prompts into the files it saves, judging by its command line."""
        system = self._json("GET", "/system_stats").get("system")
        arguments = system.get("argv") if isinstance(system, dict) else None
        return not isinstance(arguments, list) or "--disable-metadata" not in arguments

    def system_stats(self) -> SystemStats:
        """Read version and device. This is also the cheapest check that ComfyUI responds."""
        stats = self._json("GET", "/system_stats")
        system, devices = stats.get("system"), stats.get("devices")
        version = system.get("comfyui_version") if isinstance(system, dict) else None
        return SystemStats(
            version=_printable(version) if isinstance(version, str) else None,
            device=_device(devices[0]) if isinstance(devices, list) and devices else None,
        )

    def models(self) -> dict[str, list[str]]:
        """List the model files that ComfyUI can load, by folder."""
        folders = _strings(self._request("GET", "/models"))
        return {
            folder: _strings(self._request("GET", f"/models/{quote(folder, safe='')}"))
            for folder in folders
            if folder not in _FOLDERS_WITHOUT_MODELS
        }

    def open_file(self, file: ComfyUIFile, display_name: str) -> BinaryIO:
        """Open a file for reading as a stream; the caller closes it. `display_name`: its name in errors.

        Raises OutputGoneError when ComfyUI no longer has the file, OutputUnusableError when it refuses to return it.
        """
        if not (file.filename + file.subfolder).isprintable():
            # ComfyUI puts the name into a response header and drops the connection when HTTP does not allow it there.
            raise OutputUnusableError(f"The output {display_name} has characters in its name that cannot be sent.")
        params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        response = self._request("GET", "/view", params=params, stream=True)
        status = response.status_code
        if status != requests.codes.ok:
            response.close()
            if status in _REFUSED_FILE_STATUSES:
                raise OutputUnusableError(f"ComfyUI refuses to return the output {display_name} ({status}).")
            raise OutputGoneError(f"ComfyUI no longer has the output {display_name} ({status}).")
        response.raw.decode_content = True
        return cast("BinaryIO", response.raw)

    def _json(self, method: str, path: str) -> dict[str, Any]:
        response = self._request(method, path)
        if response.status_code != requests.codes.ok:
            raise ComfyUIUnreachableError(
                f"ComfyUI responded with {response.status_code} to a request for {path.split('/')[1]}."
            )
        return _json_object(response)

    def _request(  # noqa: PLR0913  the parameters of requests
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, str] | None = None,
        stream: bool = False,
        seconds: float | None = None,
    ) -> requests.Response:
        seconds = seconds or _READ_SECONDS
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
            raise ComfyUISilentError(f"ComfyUI did not respond within {seconds:g} s.") from error
        except requests.RequestException as error:
            # The exception's message contains addresses; its type is enough.
            raise ComfyUIUnreachableError(f"ComfyUI does not respond ({type(error).__name__}).") from error


def new_client_id() -> str:
    """Make a client id that marks prompts as submitted by an executor."""
    return _CLIENT_ID_PREFIX + uuid.uuid4().hex


def _is_of_executor(item: object) -> bool:
    """Return whether an item of ComfyUI's queue (number, prompt id, prompt, extra data …) has an executor's mark."""
    match item:
        case [_, str(), _, {"client_id": str(client_id)}, *_]:
            return client_id.startswith(_CLIENT_ID_PREFIX)
    return False


def _json_object(response: requests.Response) -> dict[str, Any]:
    try:
        value = response.json()
    except (requests.JSONDecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ComfyUIUnreachableError(f"The response ({response.status_code}) is not one of ComfyUI.")
    return value


def _strings(response: requests.Response) -> list[str]:
    """Read a list of strings; empty when the response is not a list."""
    try:
        value = response.json() if response.status_code == requests.codes.ok else None
    except (requests.JSONDecodeError, RecursionError):
        value = None
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _printable(text: str) -> str:
    return "".join(character for character in text[:_MAX_TEXT_CHARACTERS] if character.isprintable())


def _device(stats: object) -> Device | None:
    if not isinstance(stats, dict):
        return None
    name, total, free = (stats.get(key) for key in ("name", "vram_total", "vram_free"))
    if not isinstance(name, str) or not isinstance(total, int) or not isinstance(free, int):
        return None
    return Device(name=_printable(name), vram_total_bytes=max(0, total), vram_free_bytes=max(0, free))
