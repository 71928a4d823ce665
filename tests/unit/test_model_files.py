"""The list of model files: order, limits and merging."""

from __future__ import annotations

from gateway.domain.model_files import ModelFolder, listed, merged
from gateway.limits import MAX_MODEL_FOLDERS, MAX_MODEL_NAMES_BYTES, MAX_MODELS_PER_FOLDER


def test_models_are_listed_by_folder() -> None:
    """Checkpoints are first, then folders by name; files are sorted by name, and empty folders are omitted."""
    folders = listed({"vae": ["b", "a", "b"], "loras": [], "checkpoints": ["sdxl/x.safetensors"]})
    assert list(folders.items()) == [
        ("checkpoints", ModelFolder(1, ("sdxl/x.safetensors",))),
        ("vae", ModelFolder(2, ("a", "b"))),
    ]


def test_names_per_folder_are_limited() -> None:
    """The first names are listed; the count includes all files."""
    names = [f"{number:04}" for number in range(MAX_MODELS_PER_FOLDER + 50)]
    assert listed({"loras": names}) == {"loras": ModelFolder(len(names), tuple(names[:MAX_MODELS_PER_FOLDER]))}


def test_the_size_of_the_list_is_limited() -> None:
    """It does not depend on the number of folders and names, or on the length of names."""
    folders = listed({f"f{folder}": [f"{name}{'ü' * 240}" for name in range(500)] for folder in range(500)})
    assert len(folders) == MAX_MODEL_FOLDERS
    assert sum(len(name.encode()) for folder in folders.values() for name in folder.names) <= MAX_MODEL_NAMES_BYTES
    assert {folder.count for folder in folders.values()} == {500}


def test_unusable_names_are_omitted() -> None:
    """They are counted, but could not be stored, or contain control characters of a terminal."""
    names = ["good", "x" * 1000, "line\nbreak", "half \udc80", "\x1b[2J"]
    assert listed({"loras": names, "bad\udc80": ["a"]}) == {"loras": ModelFolder(5, ("good",))}


def test_lists_are_merged() -> None:
    """Each model is listed once, whichever list it is from."""
    first = listed({"checkpoints": ["a", "b"]})
    second = listed({"checkpoints": ["b", "c"], "loras": ["l"]})
    assert merged([first, second]) == listed({"checkpoints": ["a", "b", "c"], "loras": ["l"]})
    assert merged([]) == {}
