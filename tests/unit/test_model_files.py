from __future__ import annotations

from gateway.domain.model_files import ModelFolder, listed, merged
from gateway.limits import MAX_MODEL_FOLDERS, MAX_MODEL_NAMES_BYTES, MAX_MODELS_PER_FOLDER


def test_models_are_listed_by_folder() -> None:
    """Checkpoints first, then by name, in each folder by name; what is empty is left out."""
    folders = listed({"vae": ["b", "a", "b"], "loras": [], "checkpoints": ["sdxl/x.safetensors"]})
    assert list(folders.items()) == [
        ("checkpoints", ModelFolder(1, ("sdxl/x.safetensors",))),
        ("vae", ModelFolder(2, ("a", "b"))),
    ]


def test_of_a_full_folder_the_first_are_named() -> None:
    """The count is that of all."""
    names = [f"{number:04}" for number in range(MAX_MODELS_PER_FOLDER + 50)]
    assert listed({"loras": names}) == {"loras": ModelFolder(len(names), tuple(names[:MAX_MODELS_PER_FOLDER]))}


def test_a_list_stays_small() -> None:
    """Whatever the folders hold: many folders, many names, long ones."""
    folders = listed({f"f{folder}": [f"{name}{'ü' * 240}" for name in range(500)] for folder in range(500)})
    assert len(folders) == MAX_MODEL_FOLDERS
    assert sum(len(name.encode()) for folder in folders.values() for name in folder.names) <= MAX_MODEL_NAMES_BYTES
    assert {folder.count for folder in folders.values()} == {500}


def test_names_that_nobody_could_use_are_not_told() -> None:
    """They count; but they could not be stored, or would do to a terminal what they say."""
    names = ["good", "x" * 1000, "line\nbreak", "half \udc80", "\x1b[2J"]
    assert listed({"loras": names, "bad\udc80": ["a"]}) == {"loras": ModelFolder(5, ("good",))}


def test_lists_are_merged() -> None:
    """Each model once, from wherever it is."""
    first = listed({"checkpoints": ["a", "b"]})
    second = listed({"checkpoints": ["b", "c"], "loras": ["l"]})
    assert merged([first, second]) == listed({"checkpoints": ["a", "b", "c"], "loras": ["l"]})
    assert merged([]) == {}
