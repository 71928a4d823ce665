"""Prompts that the simulated ComfyUI runs, and a real one with the lab nodes of tests/comfyui."""

from __future__ import annotations

import uuid
from typing import Any


def image_prompt(color: int = 255, prefix: str = "image") -> dict[str, Any]:
    """Make a prompt that saves an image of one color."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": color}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def sleep_prompt(seconds: float, *, interruptible: bool = True, steps: int = 20) -> dict[str, Any]:
    """Make a prompt that sleeps, reporting its steps, and then saves an image."""
    return {
        **image_prompt(),
        "2": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "slept"}},
        "3": {
            "class_type": "LabSleep",
            "inputs": {
                "image": ["1", 0],
                "seconds": seconds,
                "steps": steps,
                "interruptible": interruptible,
                "progress": True,
                "salt": uuid.uuid4().int % 2**31,  # ComfyUI must not return a cached result
            },
        },
    }
