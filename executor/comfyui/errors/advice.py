"""Which inputs make a job heavy: what its owner can lower when memory or time did not suffice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# As they are mostly called, those first that are given up most easily.
_STEPS = ("steps",)
_AMOUNTS = ("batch_size", "batch", "num_images", "frames", "num_frames", "video_frames", "frame_count", "length")
_SIZES = ("width", "height", "size", "resolution", "megapixels", "upscale", "scale", "scale_by")


def memory_inputs(inputs: Mapping[str, Any] | None, prompt: Mapping[str, Any]) -> str:
    """Name the inputs that memory depends on, with their values: `batch_size (4), width (1024) or height (1024)`.

    `inputs`: the job's own, which its owner can change; None when they are private. Then, and when none of them is
    heavy, those of the graph's nodes; of a private job without their values.
    """
    return _named((*_AMOUNTS, *_SIZES), inputs, prompt) or "the size of the images, or how many are made at a time"


def time_inputs(inputs: Mapping[str, Any] | None, prompt: Mapping[str, Any]) -> str:
    """Name the inputs that time depends on, likewise."""
    return _named((*_STEPS, *_AMOUNTS, *_SIZES), inputs, prompt) or "the steps, or the size of the images"


def _named(names: tuple[str, ...], inputs: Mapping[str, Any] | None, prompt: Mapping[str, Any]) -> str:
    of_nodes = (item for node in prompt.values() for item in node.get("inputs", {}).items())
    heavy = _heavy(names, (inputs or {}).items()) or _heavy(names, of_nodes)
    shown = [name if inputs is None else f"{name} ({heavy[name]:g})" for name in names if name in heavy]
    return " or ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))


def _heavy(names: tuple[str, ...], given: Iterable[tuple[str, Any]]) -> dict[str, float]:
    """Find inputs that can be lowered; the largest of several with one name."""
    heavy: dict[str, float] = {}
    for name, value in given:
        if name in names and isinstance(value, int | float) and value > 1:
            heavy[name] = max(value, heavy.get(name, value))
    return heavy
