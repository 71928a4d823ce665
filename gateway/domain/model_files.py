"""The model files that ComfyUI offers, by its folders: what a workflow can name.

Anybody may have any number of them, under any name, and each list is stored and sent: so it is bounded. Counts tell how
many there are, names may be fewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.limits import MAX_MODEL_FOLDERS, MAX_MODEL_NAME_CHARACTERS, MAX_MODEL_NAMES_BYTES, MAX_MODELS_PER_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder with something in it."""

    count: int
    names: tuple[str, ...]  # in alphabetical order, from its beginning


def listed(folders: Mapping[str, Iterable[str]]) -> dict[str, ModelFolder]:
    """List what is in folders, as far as it fits: checkpoints first, then by name. Empty folders are left out."""
    bytes_left = MAX_MODEL_NAMES_BYTES
    result: dict[str, ModelFolder] = {}
    for folder in sorted(filter(_can_be_told, folders), key=lambda name: (name != CHECKPOINTS, name)):
        names = sorted(set(folders[folder]))
        if not names or len(result) == MAX_MODEL_FOLDERS:
            continue
        shown = []
        for name in filter(_can_be_told, names[:MAX_MODELS_PER_FOLDER]):
            bytes_left -= len(name.encode())
            if bytes_left < 0:
                break
            shown.append(name)
        result[folder] = ModelFolder(count=len(names), names=tuple(shown))
    return result


def _can_be_told(name: str) -> bool:
    # What is not printable cannot be stored or sent everywhere, and would do to a terminal what it says.
    return name.isprintable() and len(name) <= MAX_MODEL_NAME_CHARACTERS


def merged(lists: Iterable[Mapping[str, ModelFolder]]) -> dict[str, ModelFolder]:
    """List what is in at least one of several lists, each model once."""
    names: dict[str, set[str]] = {}
    for folders in lists:
        for folder, models in folders.items():
            names.setdefault(folder, set()).update(models.names)
    return listed(names)
