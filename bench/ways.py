"""The compared ways to run a job on ComfyUI and get its outputs, each as a client uses it."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any, Protocol

import requests
import websocket
from prompts import SOLID_WORKFLOW, solid

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS = 60  # for any response
_POLL_SECONDS = 0.01
# It checks ComfyUI's history, then its queue: a job that moves from one to the other in between is "expired".
_NOT_ENDED_FOR_PROXY = ("queued", "running", "expired")


class Way(Protocol):
    """One client."""

    def run_solid(self, color: int) -> None:
        """Create an image of one color; return when its file is known. Raises RuntimeError on failure."""

    def close(self) -> None:
        """Close its connections."""


class Direct:
    """ComfyUI's own API: submit, listen to the WebSocket until the end, read the history."""

    def __init__(self, comfyui_url: str) -> None:
        self._url = comfyui_url
        self._session = requests.Session()
        self._client_id = uuid.uuid4().hex
        address = comfyui_url.replace("http", "ws", 1) + f"/ws?clientId={self._client_id}"
        self._socket = websocket.create_connection(address, timeout=_SECONDS)

    def run(self, prompt: Mapping[str, Any]) -> dict[str, Any]:
        """Run a prompt; return its outputs as the history has them."""
        body = {"prompt": prompt, "client_id": self._client_id}
        prompt_id = _json(self._session.post(f"{self._url}/prompt", json=body, timeout=_SECONDS))["prompt_id"]
        self._listen_until_end(prompt_id)
        # A prompt is in the history a moment after its last WebSocket event.
        while not (found := _json(self._session.get(f"{self._url}/history/{prompt_id}", timeout=_SECONDS))):
            time.sleep(_POLL_SECONDS / 10)
        outputs: dict[str, Any] = found[prompt_id]["outputs"]
        return outputs

    def run_solid(self, color: int) -> None:
        """See Way."""
        if not self.run(solid(color)):
            raise RuntimeError("no outputs")

    def read(self, file: Mapping[str, str]) -> bytes:
        """Read an output."""
        return self._session.get(f"{self._url}/view", params=file, timeout=_SECONDS).content

    def close(self) -> None:
        """See Way."""
        self._socket.close()
        self._session.close()

    def _listen_until_end(self, prompt_id: str) -> None:
        while True:
            content = self._socket.recv()
            if isinstance(content, str):
                message = json.loads(content)
                data = message.get("data", {})
                if message["type"] == "executing" and data.get("node") is None and data.get("prompt_id") == prompt_id:
                    return


class Gateway:
    """The gateway: submit, and one request that returns at the end of the job."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()

    @staticmethod
    def prepare(url: str) -> None:
        """Register the workflow."""
        requests.post(f"{url}/workflows", json=SOLID_WORKFLOW, timeout=_SECONDS).raise_for_status()

    def run_solid(self, color: int) -> None:
        """See Way."""
        body = {"workflowId": "solid", "inputs": {"color": color}}
        job_id = _json(self._session.post(f"{self._url}/jobs", json=body, timeout=_SECONDS))["jobId"]
        status = "queued"
        while status in ("queued", "running"):
            job = _json(self._session.get(f"{self._url}/jobs/{job_id}?wait=25", timeout=_SECONDS))
            status = job["status"]
        if not job["outputs"]:
            raise RuntimeError(f"{status}, without outputs")

    def close(self) -> None:
        """See Way."""
        self._session.close()


class Proxy:
    """The Comfy API v2 proxy: submit, and poll until the end.

    Its stream of events is no quicker; and where a job ends while the stream is being opened, it tells so after 15 s.
    """

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/v2"
        self._session = requests.Session()

    def submit(self, prompt: Mapping[str, Any]) -> str:
        """Submit a prompt; return the job id."""
        job = _json(self._session.post(f"{self._url}/jobs", json={"workflow": prompt}, timeout=_SECONDS))
        return str(job["id"])

    def outputs(self, job_id: str) -> list[dict[str, Any]]:
        """Wait for the end of a job; return its outputs. Raises RuntimeError when there are none."""
        while (job := self._job(job_id))["status"] in _NOT_ENDED_FOR_PROXY:
            time.sleep(_POLL_SECONDS)
        if not job["outputs"]:
            raise RuntimeError(f"{job['status']}, without outputs")
        found: list[dict[str, Any]] = job["outputs"]
        return found

    def run_solid(self, color: int) -> None:
        """See Way."""
        self.outputs(self.submit(solid(color)))

    def read(self, asset_id: str) -> bytes:
        """Read an output."""
        return self._session.get(f"{self._url}/assets/{asset_id}/content", timeout=_SECONDS).content

    def close(self) -> None:
        """See Way."""
        self._session.close()

    def _job(self, job_id: str) -> dict[str, Any]:
        return _json(self._session.get(f"{self._url}/jobs/{job_id}", timeout=_SECONDS))


def _json(response: requests.Response) -> dict[str, Any]:
    response.raise_for_status()
    content: dict[str, Any] = response.json()
    return content
