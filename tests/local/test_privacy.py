"""Privacy mode of local mode: search everything that a run writes to disk for the inputs of its jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.local.command import LINUX_ONLY, GatewayProcess, wait_until
from tests.webhooks.receiver import Receiver, responds

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "zq-a-private-fox-qz"
WEBHOOK_SECONDS = 20


def ended(url: str, callback_url: str, **inputs: object) -> dict[str, Any]:
    """Run a job until it has ended."""
    inputs = {"prompt": f"{MARK} prompt", "steps": 2, **inputs}
    body = {"workflowId": "icon_512", "inputs": inputs, "callbackUrl": callback_url}
    accepted = requests.post(f"{url}/jobs", json=body, timeout=10)
    assert accepted.status_code == 202, accepted.text
    job: dict[str, Any] = requests.get(f"{url}{accepted.json()['pollUrl']}?wait=25", timeout=30).json()
    return job


def files_with_mark(folder: Path) -> list[str]:
    """Return the files below a folder that contain the mark, or have it in their path."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    return [str(path) for path in files if MARK in path.name or MARK.encode() in path.read_bytes()]


@LINUX_ONLY
@pytest.mark.parametrize("private", [True, False])
def test_inputs_of_private_jobs_are_not_on_disk(start: Callable[..., GatewayProcess], *, private: bool) -> None:
    """No table, file, queue or log contains them, and no webhook. Without privacy mode the same search finds them."""
    run = start(PRIVACY_MODE=str(private).lower())
    url = run.up()
    with Receiver(responds(200)) as receiver:
        assert ended(url, receiver.url)["status"] == "succeeded"
        refused = ended(url, receiver.url, checkpoint=f"{MARK}.safetensors")
        assert refused["error"]["code"] == "COMFYUI_REJECTED"
        wrong = {"workflowId": "icon_512", "inputs": {"steps": MARK}}
        assert requests.post(f"{url}/jobs", json=wrong, timeout=10).status_code == 400
        wait_until(lambda: len(receiver.received) == 2, WEBHOOK_SECONDS)
    assert run.end() == 0
    found = files_with_mark(Path(run.environment["DATA_DIR"]))
    sent = [request.body for request in receiver.received if MARK.encode() in request.body]
    assert MARK not in run.text
    if private:
        assert (found, sent) == ([], [])
    else:
        assert sent
        for folder in ("services", "objects", "simulator"):
            assert [path for path in found if f"/{folder}/" in path]
