"""Privacy mode on one machine: all that a run writes to disk is searched for what its jobs were given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.local.command import LINUX_ONLY, Run, wait_until
from tests.webhooks.receiver import Receiver, answers

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "zq-a-fox-that-nobody-may-read-qz"
WEBHOOK_SECONDS = 20


def ended(url: str, callback_url: str, **inputs: object) -> dict[str, Any]:
    """Run a job to its end."""
    inputs = {"prompt": f"{MARK} prompt", "steps": 2, **inputs}
    body = {"workflowId": "icon_512", "inputs": inputs, "callbackUrl": callback_url}
    accepted = requests.post(f"{url}/jobs", json=body, timeout=10)
    assert accepted.status_code == 202, accepted.text
    job: dict[str, Any] = requests.get(f"{url}{accepted.json()['pollUrl']}?wait=25", timeout=30).json()
    return job


def files_with_mark(folder: Path) -> list[str]:
    """Search every file below a folder, their names included; name those that have it by their part of the folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    return [str(path) for path in files if MARK in path.name or MARK.encode() in path.read_bytes()]


@LINUX_ONLY
@pytest.mark.parametrize("private", [True, False])
def test_nothing_that_jobs_were_given_is_left_on_disk(start: Callable[..., Run], *, private: bool) -> None:
    """Tables, files, queues that have emptied, and every log; nor in webhooks. In usual mode it would be found."""
    run = start(PRIVACY_MODE=str(private).lower())
    url = run.up()
    with Receiver(answers(200)) as receiver:
        assert ended(url, receiver.url)["status"] == "succeeded"
        refused = ended(url, receiver.url, checkpoint=f"{MARK}.safetensors")
        assert refused["error"]["code"] == "COMFYUI_REJECTED"
        wrong = {"workflowId": "icon_512", "inputs": {"steps": MARK}}
        assert requests.post(f"{url}/jobs", json=wrong, timeout=10).status_code == 400
        wait_until(lambda: len(receiver.received) == 2, WEBHOOK_SECONDS)
    assert run.end() == 0
    found = files_with_mark(Path(run.environment["DATA_DIR"]))
    sent = [request.body for request in receiver.received]
    assert MARK not in run.text
    if private:
        assert found == []
        assert not [body for body in sent if MARK.encode() in body]
    else:
        assert [body for body in sent if MARK.encode() in body]
        assert [path for path in found if "services" in path]
        assert [path for path in found if "objects" in path]
        assert [path for path in found if "simulator" in path]
