"""How the files of an attempt are called on ComfyUI's host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.domain.job import Job


def with_own_prefix(prompt: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """Give the attempt's files a folder of their own: ComfyUI hands the same files to equal prompts.

    A private job's are called by nothing that it was given.
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
    """Leave out what no file's name should have: ComfyUI could save such a file, but not hand it out."""
    return "".join(character for character in prefix if character.isprintable())
