"""Inputs of ComfyUI's nodes that applications set: their names in a workflow, and their schemas.

The schema of a bundled workflow is used for each input that it has, so that `steps` is described once.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

PROMPT, NEGATIVE_PROMPT = "prompt", "negative_prompt"
WIDTH, HEIGHT, BATCH_SIZE, LENGTH = "width", "height", "batch_size", "length"

# By the name of a node's input, in any node.
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
# Names of inputs that take a text to encode, or hold one.
TEXT_INPUTS = ("text", "prompt", "text_g", "text_l", "clip_l", "clip_g", "t5xxl", "string", "value", "tags")

_BUNDLED = "sprite_transparent_bg.schema.json"  # its descriptions fit any model
_OWN: dict[str, dict[str, Any]] = {
    NEGATIVE_PROMPT: {"type": "string", "maxLength": 10_000, "description": "What to avoid."},
    PROMPT: {"type": "string", "minLength": 1, "maxLength": 10_000, "description": "What to make."},
    "guidance": {
        "type": "number",
        "minimum": 0,
        "maximum": 100,
        "description": "How closely the output follows the prompt.",
    },
    "model": {"type": "string", "maxLength": 255, "description": "Model file in the GPU host's folder of models."},
    "lora": {"type": "string", "maxLength": 255, "description": "LoRA file in the GPU host's models/loras folder."},
    "upscale": {"type": "number", "minimum": 0.01, "maximum": 8, "description": "Scale factor."},
    "fps": {"type": "number", "minimum": 0.01, "maximum": 1000, "description": "Frames per second."},
    "lyrics": {"type": "string", "maxLength": 10_000, "description": "Lyrics."},
    "seconds": {"type": "number", "minimum": 0.1, "maximum": 3600, "description": "Duration in seconds."},
    LENGTH: {"type": "integer", "minimum": 1, "maximum": 10_000, "description": "Number of frames."},
}


def field(kind: str, name: str, value: Any) -> dict[str, Any]:  # noqa: ANN401  whatever a graph has
    """Return the schema of an input, with its value in the graph as the default.

    The first prompt has no default: it is required. The input named `seed` is random by default. Limits that the
    graph's own value exceeds are left out.
    """
    known = schema_of(kind)
    if name == PROMPT:
        return {**known, "examples": [value]} if value else known
    if name == "seed":
        return known
    if kind == "seed":
        known["minimum"] = 0
    return _fitting({**known, "default": value})


def schema_of(kind: str) -> dict[str, Any]:
    """Return the schema of an input without its value: only a seed has a default. {} for an unknown kind."""
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
    accepted = {rule: value for rule, value in known.items() if rule not in broken}
    return {"type": _type(known["default"]), **accepted} if "type" in broken else accepted


@cache
def _bundled() -> dict[str, dict[str, Any]]:
    text = resources.files("workflows").joinpath(_BUNDLED).read_text(encoding="utf-8")
    properties: dict[str, dict[str, Any]] = json.loads(text)["properties"]
    return properties


def _type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return {int: "integer", float: "number", str: "string"}.get(type(value), "string")
