"""Nodes with the behavior that tests need: they wait, fail, block, expand, or report unusual outputs.

ComfyUI loads this as a custom node pack. Each node returns its image unchanged, if it has one.
"""

# ruff: noqa: N802  INPUT_TYPES and VALIDATE_INPUTS are names that ComfyUI calls
import json
import time
from typing import Any, ClassVar

import comfy.model_management
import comfy.utils
import torch
from comfy_execution.graph_utils import ExecutionBlocker, GraphBuilder
from server import PromptServer

Inputs = dict[str, dict[str, Any]]
Image = tuple[torch.Tensor]

RAISED: dict[str, type[BaseException]] = {
    "ValueError": ValueError,
    "RuntimeError": RuntimeError,
    "MemoryError": MemoryError,
    "OOM": comfy.model_management.OOM_EXCEPTION,
    "torchOOM": torch.OutOfMemoryError,
    # These two are no Exception, and end ComfyUI's worker thread while its HTTP side stays healthy.
    "KeyboardInterrupt": KeyboardInterrupt,
    "SystemExit": SystemExit,
}


class Lab:
    """Base class of all nodes of this pack."""

    CATEGORY = "lab"
    FUNCTION = "run"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("IMAGE",)


class LabSleep(Lab):
    """Sleeps in steps, optionally without progress, or without checking for interrupts."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Declare the inputs."""
        return {
            "required": {
                "image": ("IMAGE",),
                "seconds": ("FLOAT", {"default": 1.0, "min": 0, "max": 3600}),
                "steps": ("INT", {"default": 10, "min": 1, "max": 10000}),
                "interruptible": ("BOOLEAN", {"default": True}),
                "progress": ("BOOLEAN", {"default": True}),
            },
            # Another salt makes ComfyUI run the node again instead of taking the result from its cache.
            "optional": {"salt": ("INT", {"default": 0, "max": 2**63})},
        }

    def run(  # noqa: PLR0913  ComfyUI passes every input by name
        self, *, image: torch.Tensor, seconds: float, steps: int, interruptible: bool, progress: bool, salt: int = 0
    ) -> Image:
        """Sleep."""
        del salt
        bar = comfy.utils.ProgressBar(steps) if progress else None
        for step in range(steps):
            time.sleep(seconds / steps)
            if interruptible:
                comfy.model_management.throw_exception_if_processing_interrupted()
            if bar:
                bar.update_absolute(step + 1, steps)
        return (image,)


class LabRaise(Lab):
    """Raises the requested exception."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Declare the inputs."""
        return {
            "required": {
                "image": ("IMAGE",),
                "kind": (list(RAISED),),
                "message": ("STRING", {"default": "boom"}),
            }
        }

    def run(self, image: torch.Tensor, kind: str, message: str) -> Image:
        """Fail."""
        del image
        raise RAISED[kind](message)


class LabHoard(Lab):
    """Runs out of memory until the memory is freed: ComfyUI then creates new node objects, and a new one succeeds."""

    FIRST: ClassVar[dict[int, "LabHoard"]] = {}

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Declare the inputs."""
        return {"required": {"image": ("IMAGE",), "salt": ("INT", {"default": 0, "max": 2**63})}}

    def run(self, image: torch.Tensor, salt: int) -> Image:
        """Fail at the first call, and at each further call on the same object."""
        if LabHoard.FIRST.setdefault(salt, self) is self:
            raise comfy.model_management.OOM_EXCEPTION("Allocation on device")
        return (image,)


class LabUI(Lab):
    """Reports any JSON as its outputs, as custom nodes do."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Declare the inputs."""
        return {"required": {"json": ("STRING", {"multiline": True})}, "optional": {"image": ("IMAGE",)}}

    def run(self, **inputs: Any) -> dict[str, Any]:  # noqa: ANN401  an input named json would hide the module
        """Report."""
        return {"ui": json.loads(inputs["json"])}


class LabValidate(Lab):
    """Rejects its input with the given message, unless that is "ok"; "raise" makes the validation raise."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Declare the inputs."""
        return {"required": {"image": ("IMAGE",), "msg": ("STRING", {"default": "no"})}}

    @classmethod
    def VALIDATE_INPUTS(cls, msg: str) -> bool | str:
        """Return True, or the reason for the rejection."""
        if msg == "raise":
            raise KeyError("validator blew up")
        return True if msg == "ok" else msg

    def run(self, image: torch.Tensor, msg: str) -> Image:
        """Return the image."""
        del msg
        return (image,)


class LabText(Lab):
    """Sends a line of progress text: a binary message of a type that few nodes send."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Declare the inputs."""
        return {
            "required": {"image": ("IMAGE",), "text": ("STRING", {"default": "hi"})},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    def run(self, image: torch.Tensor, text: str, unique_id: str) -> Image:
        """Send."""
        PromptServer.instance.send_progress_text(text, unique_id, PromptServer.instance.client_id)
        return (image,)


class LabBlock(Lab):
    """Blocks the nodes after it: with a message, ComfyUI reports an error; without one, nothing."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Declare the inputs."""
        return {"required": {"image": ("IMAGE",), "message": ("STRING", {"default": ""})}}

    def run(self, image: torch.Tensor, message: str) -> tuple[ExecutionBlocker]:
        """Block."""
        del image
        return (ExecutionBlocker(message or None),)


class LabExpand(Lab):
    """Expands into other nodes while the graph runs; one of them can fail."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Declare the inputs."""
        return {"required": {"image": ("IMAGE",), "fail": ("BOOLEAN", {"default": False})}}

    def run(self, *, image: torch.Tensor, fail: bool) -> dict[str, Any]:
        """Expand."""
        graph = GraphBuilder()
        first = graph.node("ImageInvert", image=image)
        if fail:
            second = graph.node("LabRaise", image=first.out(0), kind="ValueError", message="inner")
        else:
            second = graph.node("ImageInvert", image=first.out(0))
        graph.node("PreviewImage", images=first.out(0))
        return {"result": (second.out(0),), "expand": graph.finalize()}


NODE_CLASS_MAPPINGS = {
    node.__name__: node for node in (LabSleep, LabRaise, LabHoard, LabUI, LabValidate, LabText, LabBlock, LabExpand)
}
