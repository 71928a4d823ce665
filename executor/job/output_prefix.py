"""Give the files of each attempt their own folder on ComfyUI's host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.domain.job import Job


def with_attempt_prefix(prompt: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """Put every `filename_prefix` of a prompt into a folder of this attempt.

    Without it, ComfyUI returns the same files for equal prompts. A private job's files have a fixed name, which
    repeats nothing that the job was given.
    """
    folder = f"gateway/{job.id}-{job.attempt}"
    return {
        node_id: {
            **node,
            "inputs": {
                name: f"{folder}/{'output' if job.private else _printable(value)}"
                if name == "filename_prefix" and isinstance(value, str)
                else value
                for name, value in node["inputs"].items()
            },
        }
        for node_id, node in prompt.items()
    }


def _printable(prefix: str) -> str:
    """Remove control characters: ComfyUI can save a file with such a name, but not return it."""
    return "".join(character for character in prefix if character.isprintable())
