"""Read a ComfyUI's queue."""

from __future__ import annotations

import requests


def running(url: str) -> list[str]:
    """Return the ids of the running prompts."""
    return [item[1] for item in requests.get(f"{url}/queue", timeout=10).json()["queue_running"]]
