"""The node classes that the simulator can run, as /object_info describes them (recorded, trimmed to these classes)."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfyui_simulator.types import InputConfig, JsonObject

_RECORDED = Path(__file__).with_name("object_info.json")

# Inputs that choose a file, named after the kind of file.
_FILE_INPUTS = {"LoadImage": "image", "LoadImageMask": "image", "LoadAudio": "audio"}


class ObjectInfo:
    """Node classes by name, with the lists of checkpoints and of input files filled in.

    `input_files` returns the names of the current `image` or `audio` files; they change with every upload.
    """

    def __init__(self, checkpoints: tuple[str, ...], input_files: Callable[[str], list[str]]) -> None:
        self._classes: dict[str, JsonObject] = json.loads(_RECORDED.read_text())
        self._input_files = input_files
        self._classes["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] = list(checkpoints)
        self._inputs = {name: self._declared_inputs(name) for name in self._classes}

    def _declared_inputs(self, class_type: str) -> dict[str, InputConfig]:
        sections = self._classes[class_type]["input"]
        declared = {**sections.get("required", {}), **sections.get("optional", {})}
        return {name: (config[0], config[1] if len(config) > 1 else {}) for name, config in declared.items()}

    def __contains__(self, class_type: object) -> bool:
        return class_type in self._classes

    def inputs(self, class_type: str) -> dict[str, InputConfig]:
        """Return the required and then the optional inputs of a class, in order."""
        return self._inputs[class_type]

    def is_required(self, class_type: str, name: str) -> bool:
        """Return whether an input is required."""
        return name in self._classes[class_type]["input"].get("required", {})

    def outputs(self, class_type: str) -> list[str]:
        """Return the types of a class's outputs."""
        outputs: list[str] = self._classes[class_type]["output"]
        return outputs

    def is_output(self, class_type: str) -> bool:
        """Return whether a class is an output node: prompts are executed for their output nodes."""
        return bool(self._classes[class_type]["output_node"])

    def knows_own_id(self, class_type: str) -> bool:
        """Return whether nodes of a class see their own id, which keeps them from sharing cached results."""
        return "UNIQUE_ID" in self._classes[class_type]["input"].get("hidden", {}).values()

    def all(self) -> JsonObject:
        """Return the response of GET /object_info."""
        return {name: self.one(name)[name] for name in self._classes}

    def one(self, class_type: str) -> JsonObject:
        """Return the response of GET /object_info/{class}: {} for an unknown class."""
        if class_type not in self._classes:
            return {}
        description = self._classes[class_type]
        if class_type in _FILE_INPUTS:
            name = _FILE_INPUTS[class_type]
            description = copy.deepcopy(description)
            description["input"]["required"][name][0] = self._input_files(name)
        return {class_type: description}
