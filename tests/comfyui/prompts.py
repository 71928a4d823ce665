"""What a ComfyUI has, asked from outside."""

from __future__ import annotations

import requests


def running(url: str) -> list[str]:
    """Name the prompts that run on a ComfyUI."""
    return [item[1] for item in requests.get(f"{url}/queue", timeout=10).json()["queue_running"]]
