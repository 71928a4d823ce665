"""Name the inputs to reduce when a job ran out of memory or time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Usual names of such inputs. Those that are easiest to give up come first.
_STEPS = ("steps",)
_AMOUNTS = ("batch_size", "batch", "num_images", "frames", "num_frames", "video_frames", "frame_count", "length")
_SIZES = ("width", "height", "size", "resolution", "megapixels", "upscale", "scale", "scale_by")
_FOR_MEMORY = (*_AMOUNTS, *_SIZES)
_FOR_TIME = (*_STEPS, *_AMOUNTS, *_SIZES)


def inputs_to_reduce(inputs: Mapping[str, Any] | None, prompt: Mapping[str, Any], *, for_memory: bool) -> str:
    """Name the inputs to reduce, with their values: `batch_size (4), width (1024) or height (1024)`.

    `inputs`: the job's own inputs, which its owner can change; None when they are private. In that case, and when no
    input of the job can be reduced, name inputs of the graph's nodes instead; for a private job without values.
    """
    names = _FOR_MEMORY if for_memory else _FOR_TIME
    node_inputs = (item for node in prompt.values() for item in node.get("inputs", {}).items())
    found = _reducible(names, (inputs or {}).items()) or _reducible(names, node_inputs)
    shown = [name if inputs is None else f"{name} ({found[name]:g})" for name in names if name in found]
    if not shown:
        return "the image size or the batch size" if for_memory else "the number of steps or the image size"
    return " or ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _reducible(names: tuple[str, ...], inputs: Iterable[tuple[str, Any]]) -> dict[str, float]:
    """Find the inputs that can be reduced; of several with the same name, the largest."""
    found: dict[str, float] = {}
    for name, value in inputs:
        if name in names and isinstance(value, int | float) and value > 1:
            found[name] = max(value, found.get(name, value))
    return found
