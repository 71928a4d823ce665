"""Which inputs of ComfyUI's nodes an app wants to set, what they are called here, and what a schema says of each.

Schemas are those of the bundled workflow where it has the input: there is one description of what `steps` is.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

PROMPT, NEGATIVE_PROMPT = "prompt", "negative_prompt"
WIDTH, HEIGHT, BATCH_SIZE, LENGTH = "width", "height", "batch_size", "length"

# By the name of the node's input, wherever it stands.
BY_INPUT_NAME = {
    "seed": "seed",
    "noise_seed": "seed",
    "steps": "steps",
    "cfg": "cfg",
    "guidance": "guidance",
    "sampler_name": "sampler",
    "scheduler": "scheduler",
    "ckpt_name": "checkpoint",
    "unet_name": "model",
    "lora_name": "lora",
    "scale_by": "upscale",
    "frame_rate": "fps",
    "fps": "fps",
    "lyrics": "lyrics",
    "seconds": "seconds",
    "prompt": PROMPT,
    "negative_prompt": NEGATIVE_PROMPT,
}
# Of nodes that read a text to be encoded, or that hold one.
TEXT_INPUTS = ("text", "prompt", "text_g", "text_l", "clip_l", "clip_g", "t5xxl", "string", "value", "tags")

_BUNDLED = "sprite_transparent_bg.schema.json"  # its words fit any model
_OWN: dict[str, dict[str, Any]] = {
    NEGATIVE_PROMPT: {"type": "string", "maxLength": 10_000, "description": "What should not be in it."},
    PROMPT: {"type": "string", "minLength": 1, "maxLength": 10_000, "description": "What to make."},
    "guidance": {"type": "number", "minimum": 0, "maximum": 100, "description": "How closely it follows the prompt."},
    "model": {"type": "string", "maxLength": 255, "description": "Model file in the GPU host's folder of models."},
    "lora": {"type": "string", "maxLength": 255, "description": "LoRA file in the GPU host's models/loras folder."},
    "upscale": {"type": "number", "minimum": 0.01, "maximum": 8, "description": "By how much it is enlarged."},
    "fps": {"type": "number", "minimum": 0.01, "maximum": 1000, "description": "Frames per second."},
    "lyrics": {"type": "string", "maxLength": 10_000, "description": "What is sung."},
    "seconds": {"type": "number", "minimum": 0.1, "maximum": 3600, "description": "How long it is, in seconds."},
    LENGTH: {"type": "integer", "minimum": 1, "maximum": 10_000, "description": "How many frames."},
}


def field(kind: str, name: str, value: Any) -> dict[str, Any]:  # noqa: ANN401  whatever a graph has
    """Describe an input of a kind, with what the graph has for it as its default.

    The first prompt has none: it has to be sent. The seed is drawn, but only the one that is called so. Bounds that
    the graph's own value breaks are left out.
    """
    known = described(kind)
    if name == PROMPT:
        return {**known, "examples": [value]} if value else known
    if name == "seed":
        return known
    if kind == "seed":
        known["minimum"] = 0
    return _fitting({**known, "default": value})


def described(kind: str) -> dict[str, Any]:
    """Describe an input whose value is not known: no default, but for a seed; {} for a kind that is not known."""
    known = dict(_OWN.get(kind) or _bundled().get(kind) or {})
    if kind != "seed":
        known.pop("default", None)
    return known


def _fitting(known: dict[str, Any]) -> dict[str, Any]:
    import jsonschema_rs  # noqa: PLC0415  only a proposal needs it

    if "type" not in known:
        known = {"type": _type(known["default"]), **known}
    broken = [
        rule
        for rule in known
        if rule not in ("default", "description", "examples")
        and not jsonschema_rs.Draft202012Validator({rule: known[rule]}).is_valid(known["default"])
    ]
    kept = {rule: value for rule, value in known.items() if rule not in broken}
    return {"type": _type(known["default"]), **kept} if "type" in broken else kept


@cache
def _bundled() -> dict[str, dict[str, Any]]:
    text = resources.files("workflows").joinpath(_BUNDLED).read_text(encoding="utf-8")
    properties: dict[str, dict[str, Any]] = json.loads(text)["properties"]
    return properties


def _type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return {int: "integer", float: "number", str: "string"}.get(type(value), "string")
