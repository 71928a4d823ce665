"""Lists of the model files that ComfyUI offers, by folder: the names that workflows can use.

A ComfyUI can have any number of models with any names, and each list is stored and returned, so it has limits. The
count of a folder is exact; its names may be cut.
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
    """A folder that is not empty."""

    count: int
    names: tuple[str, ...]  # the first ones in alphabetical order


def listed(folders: Mapping[str, Iterable[str]]) -> dict[str, ModelFolder]:
    """List folders within the limits: checkpoints first, then by name. Empty folders are left out."""
    remaining_bytes = MAX_MODEL_NAMES_BYTES
    result: dict[str, ModelFolder] = {}
    for folder in sorted(filter(_is_listable, folders), key=lambda name: (name != CHECKPOINTS, name)):
        names = sorted(set(folders[folder]))
        if not names or len(result) == MAX_MODEL_FOLDERS:
            continue
        shown = []
        for name in filter(_is_listable, names[:MAX_MODELS_PER_FOLDER]):
            remaining_bytes -= len(name.encode())
            if remaining_bytes < 0:
                break
            shown.append(name)
        result[folder] = ModelFolder(count=len(names), names=tuple(shown))
    return result


def _is_listable(name: str) -> bool:
    # Unprintable characters cannot be stored or sent everywhere, and a terminal would execute control characters.
    return name.isprintable() and len(name) <= MAX_MODEL_NAME_CHARACTERS


def merged(lists: Iterable[Mapping[str, ModelFolder]]) -> dict[str, ModelFolder]:
    """Merge several lists, each model once."""
    names: dict[str, set[str]] = {}
    for folders in lists:
        for folder, models in folders.items():
            names.setdefault(folder, set()).update(models.names)
    return listed(names)
