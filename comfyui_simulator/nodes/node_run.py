"""The interface for node implementations, and the registry of implementations."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from PIL import Image

    from comfyui_simulator.file_store import FileStore
    from comfyui_simulator.gpu import Gpu
    from comfyui_simulator.settings import SimulatorSettings
    from comfyui_simulator.types import JsonObject

T = TypeVar("T")


class RunControl(Protocol):
    """How a running node waits and reports its progress."""

    def wait(self, seconds: float, *, interruptible: bool = True) -> None:
        """Wait; raise `InterruptedByUserError` afterwards if the prompt was interrupted meanwhile."""

    def advance(self, value: int, maximum: int, preview: tuple[bytes, str] | None = None) -> None:
        """Report the steps done, with a preview as (image, MIME type)."""

    def show_text(self, text: str) -> None:
        """Send a text to be shown at the node."""


@dataclass(frozen=True)
class Returned:
    """What a node returns: outputs, UI values, and nodes to run instead of it, whose links are the outputs."""

    outputs: tuple[object, ...] = ()
    ui: Mapping[str, object] | None = None
    expansion: dict[str, JsonObject] | None = None


@dataclass(frozen=True)
class Blocker:
    """An output that keeps all nodes after it from running; the first of them reports the message, if any."""

    message: str | None


@dataclass(frozen=True)
class Machine:
    """What all nodes of a server share."""

    settings: SimulatorSettings
    files: FileStore
    gpu: Gpu


@dataclass(frozen=True)
class NodeRun:
    """One execution of a node."""

    node_id: str
    inputs: JsonObject
    prompt: JsonObject
    extra_pnginfo: JsonObject
    control: RunControl
    machine: Machine
    temp_prefix: str
    """Prefix for this node's temp files, the same while the node stays in the prompt."""

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata of saved files: the prompt and each entry of `extra_pnginfo`, as JSON; empty when disabled."""
        if self.machine.settings.disable_metadata:
            return {}
        return {name: json.dumps(value) for name, value in {"prompt": self.prompt, **self.extra_pnginfo}.items()}

    def _input(self, name: str, kind: type[T]) -> T:
        value = self.inputs[name]
        if not isinstance(value, kind):
            raise TypeError(f"{name} is a {type(value).__name__}, not a {kind.__name__}")
        return value

    def integer(self, name: str) -> int:
        """Return an INT input."""
        return self._input(name, int)

    def number(self, name: str) -> float:
        """Return a FLOAT input."""
        return self._input(name, float)

    def flag(self, name: str) -> bool:
        """Return a BOOLEAN input."""
        return self._input(name, bool)

    def text(self, name: str) -> str:
        """Return a STRING or list input."""
        return self._input(name, str)

    def images(self, name: str) -> list[Image.Image]:
        """Return an IMAGE (RGB or RGBA) or MASK (L) input: a batch of images of one size."""
        images: list[Image.Image] = self._input(name, list)
        return images

    def object(self, name: str, kind: type[T]) -> T:
        """Return an input of a simulator type, such as a latent."""
        return self._input(name, kind)


NodeFunction = Callable[[NodeRun], Returned]

IMPLEMENTATIONS: dict[str, NodeFunction] = {}


def node(class_type: str) -> Callable[[NodeFunction], NodeFunction]:
    """Register a function as the implementation of a node class."""

    def register(function: NodeFunction) -> NodeFunction:
        IMPLEMENTATIONS[class_type] = function
        return function

    return register
