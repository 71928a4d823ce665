"""Privacy mode on one machine: all that a run writes to disk is searched for what its jobs were given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.local.command import LINUX_ONLY, Run

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "zq-a-fox-that-nobody-may-read-qz"


def ended(url: str, **inputs: object) -> dict[str, Any]:
    """Run a job to its end."""
    body = {"workflowId": "icon_512", "inputs": {"prompt": f"{MARK} prompt", "steps": 2, **inputs}}
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
    """Tables, files, queues that have emptied, and every log. In usual mode it is there: it would be found."""
    run = start(PRIVACY_MODE=str(private).lower())
    url = run.up()
    assert ended(url)["status"] == "succeeded"
    assert ended(url, checkpoint=f"{MARK}.safetensors")["error"]["code"] == "COMFYUI_REJECTED"
    assert (
        requests.post(f"{url}/jobs", json={"workflowId": "icon_512", "inputs": {"steps": MARK}}, timeout=10).ok is False
    )
    assert run.end() == 0
    found = files_with_mark(Path(run.environment["DATA_DIR"]))
    assert (MARK in run.text) is False
    if private:
        assert found == []
    else:
        assert [path for path in found if "services" in path]
        assert [path for path in found if "objects" in path]
        assert [path for path in found if "simulator" in path]
