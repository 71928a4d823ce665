"""The prompts of the measured jobs."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

# Almost no work, so that the time of a job is not the time of ComfyUI. All colors differ, or caches would skip the run.
SOLID_WORKFLOW = {
    "id": "solid",
    "name": "One color",
    "workflowJson": {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": "{{color}}"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "solid"}},
    },
    "inputSchema": {"type": "object", "fields": {"color": {"type": "integer", "required": True}}},
}
colors = itertools.count()  # its next() is safe in threads


def solid(color: int) -> dict[str, Any]:
    """Return the prompt of SOLID_WORKFLOW."""
    empty = {"width": 64, "height": 64, "batch_size": 1, "color": color}
    return {
        "1": {"class_type": "EmptyImage", "inputs": empty},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "solid"}},
    }


def sleeping(seconds: float, *, output_mib: int = 0) -> dict[str, Any]:
    """Return a prompt that occupies a GPU for some time without using this machine's cores, and saves a file."""
    prompt: dict[str, Any] = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
        "2": {
            "class_type": "LabSleep",
            "inputs": {
                "image": ["1", 0],
                "seconds": seconds,
                "steps": 10,
                "interruptible": True,
                "progress": True,
                "salt": uuid.uuid4().int % 2**31,  # prevents a hit in ComfyUI's cache
            },
        },
    }
    if not output_mib:
        save = {"images": ["2", 0], "filename_prefix": "bench"}
        return {**prompt, "3": {"class_type": "SaveImage", "inputs": save}}
    # Latents of 512 x 512 have 4 channels of 64 x 64 floats: 64 KiB each.
    latents = {"width": 512, "height": 512, "batch_size": 16 * output_mib}
    return {
        **prompt,
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
        "4": {"class_type": "EmptyLatentImage", "inputs": latents},
        "5": {"class_type": "SaveLatent", "inputs": {"samples": ["4", 0], "filename_prefix": "bench"}},
    }
