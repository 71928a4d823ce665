"""The whole gateway as a user starts it, and a client."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
import requests

from local.child_process import free_port

if TYPE_CHECKING:
    from types import TracebackType

START_SECONDS = 30
STOP_SECONDS = 10


class LabGateway:
    """`comfyui-gateway run` on a ComfyUI, with these variables. The client uses an admin key by default."""

    ADMIN_KEY = "admin-key-01234567"
    USER_KEY = "user-key-012345678"
    OTHER_USER_KEY = "other-key-01234567"

    def __init__(self, comfyui_url: str, folder: Path, **variables: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._log = folder / "run.log"
        self.data = folder / "data"
        self._environment = {
            **os.environ,
            "COMFYUI_URL": comfyui_url,
            "PORT": self.url.rsplit(":", 1)[1],
            "DATA_DIR": str(self.data),
            "RATE_LIMIT_MAX": "0",  # tests send many requests
            "API_KEYS": f"{self.ADMIN_KEY}:admin,{self.USER_KEY}:user,{self.OTHER_USER_KEY}:user",
            **variables,
        }

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own command
                [str(Path(sys.executable).parent / "comfyui-gateway"), "run"],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + START_SECONDS
        while "is running at" not in self._log.read_text():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the gateway did not start:\n{self._log.read_text()}", pytrace=False)
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(STOP_SECONDS)

    def call(self, method: str, path: str, *, key: str = ADMIN_KEY, **arguments: Any) -> requests.Response:  # noqa: ANN401  what requests takes
        """Send a request with an API key."""
        return requests.request(
            method,
            self.url + path,
            headers={"X-API-Key": key},
            timeout=60,
            allow_redirects=False,
            **arguments,
        )

    def submit(self, workflow_id: str, *, key: str = ADMIN_KEY, **inputs: object) -> dict[str, Any]:
        """Post a job, wait until it has ended, and return it as its owner sees it."""
        response = self.call("POST", "/jobs", key=key, json={"workflowId": workflow_id, "inputs": inputs})
        assert response.status_code in (200, 202), response.text
        path = response.json()["pollUrl"]
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline:
            job: dict[str, Any] = self.call("GET", f"{path}?wait=25", key=key).json()
            if job["status"] in ("succeeded", "failed", "canceled"):
                return job
        pytest.fail(f"the job did not end: {job}")

    def register(self, workflow_id: str, graph: dict[str, Any], fields: dict[str, Any]) -> None:
        """Register a workflow, unless it exists."""
        body = {
            "id": workflow_id,
            "name": workflow_id,
            "workflowJson": graph,
            "inputSchema": {"type": "object", "fields": fields},
        }
        assert self.call("POST", "/workflows", json=body).status_code in (201, 409)
