"""Give the files of each attempt their own folder on ComfyUI's host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.domain.template import is_link

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.domain.job import Job

_DEFAULT_NAME = "output"
_OTHER_PREFIXES = frozenset({("SaveLoRA", "prefix")})
_MAX_NAME_BYTES = 200  # of 255, with room for the number and the ending that ComfyUI adds


def with_attempt_prefix(prompt: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """Put every `filename_prefix` of a prompt into a folder of this attempt, which no prefix leaves.

    Without it, ComfyUI returns the same files for equal prompts. A private job's files have a fixed name, which
    repeats nothing that the job was given.
    """
    folder = f"gateway/{job.id}-{job.attempt}"
    return {
        node_id: {
            **node,
            "inputs": {
                name: f"{folder}/{_DEFAULT_NAME if job.private else _inside(_text(value, prompt))}"
                if name == "filename_prefix" or (node["class_type"], name) in _OTHER_PREFIXES
                else value
                for name, value in node["inputs"].items()
            },
        }
        for node_id, node in prompt.items()
    }


def _text(value: object, prompt: Mapping[str, Any]) -> str:
    """Return a prefix as a text; a default name for one that only ComfyUI knows, because a node computes it."""
    if is_link(value):
        source = prompt.get(value[0], {}).get("inputs", {})
        (value,) = source.values() if len(source) == 1 else (None,)  # of a node that only holds a value
    return str(value) if isinstance(value, str | int | float) else _DEFAULT_NAME


def _inside(prefix: str) -> str:
    """Return a prefix that stays in its folder: `../x` is `x`, also where a backslash separates folders.

    Control characters are removed, because ComfyUI can save a file with such a name, but not return it; long names are
    shortened, because a file system refuses them.
    """
    printable = "".join(character for character in prefix if character.isprintable())
    # Windows ignores dots and spaces at the end of a name.
    names = [name for name in printable.replace("\\", "/").split("/") if name.strip(". ")]
    return "/".join(name.encode()[:_MAX_NAME_BYTES].decode(errors="ignore") for name in names) or _DEFAULT_NAME
