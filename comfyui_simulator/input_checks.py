"""Checks of single input values against their declaration in /object_info."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfyui_simulator.file_store import FileStore
    from comfyui_simulator.types import InputConfig, JsonObject

_CONVERSIONS: dict[str, Callable[[Any], object]] = {
    "INT": int,
    "FLOAT": float,
    "STRING": str,
    "BOOLEAN": bool,
}

# What a client sent: anything, until it is checked here.
_Json: TypeAlias = Any

_LONGEST_LISTED = 20


@dataclass(frozen=True)
class CheckedValue:
    """A value converted to the type of its input, or the error that rejects it."""

    value: object = None
    error: JsonObject | None = None


@dataclass(frozen=True)
class OwnCheck:
    """A node class's own check of one of its inputs; returns what is wrong, or None."""

    input_name: str
    check: Callable[[object, FileStore], str | None]


def own_check_of(class_type: str) -> OwnCheck | None:
    """Return the check that a node class makes itself, in place of the limits and the list of that input."""
    return _OWN_CHECKS.get(class_type)


def is_type_accepted(received: str, wanted: object) -> bool:
    """Return whether an output's type fits an input; either may be a wildcard or list several types with commas."""
    if not isinstance(wanted, str):
        return received == "COMBO"
    return "*" in (received, wanted) or set(received.split(",")) <= set(wanted.split(","))


def check_value(name: str, config: InputConfig, value: _Json, *, is_checked_by_node: bool) -> CheckedValue:
    """Convert a value and check it against the minimum, maximum or list of its input.

    `is_checked_by_node` is true if the class validates the input itself; the declared limits are then ignored.
    """
    input_type = config[0]
    options: JsonObject = config[1]
    extra_info: JsonObject = {"input_name": name, "input_config": config}
    if isinstance(input_type, str) and input_type in _CONVERSIONS:
        try:
            value = _CONVERSIONS[input_type](value)
        except (TypeError, ValueError, OverflowError) as error:
            message = f"Failed to convert an input value to a {input_type} value"
            details = f"{name}, {value}, {error}"
            received = {**extra_info, "received_value": value, "exception_message": str(error)}
            return CheckedValue(error=_error("invalid_input_type", message, details, received))
    extra_info["received_value"] = value
    if is_checked_by_node:
        return CheckedValue(value)
    if "min" in options and value < options["min"]:
        message = f"Value {value} smaller than min of {options['min']}"
        return CheckedValue(error=_error("value_smaller_than_min", message, name, extra_info))
    if "max" in options and value > options["max"]:
        message = f"Value {value} bigger than max of {options['max']}"
        return CheckedValue(error=_error("value_bigger_than_max", message, name, extra_info))
    choices = options.get("options") if input_type == "COMBO" else input_type
    if isinstance(choices, list) and value not in choices:
        is_long = len(choices) > _LONGEST_LISTED
        listed = f"(list of length {len(choices)})" if is_long else str(choices)
        if is_long:
            extra_info["input_config"] = None
        details = f"{name}: '{value}' not in {listed}"
        return CheckedValue(error=_error("value_not_in_list", "Value not in list", details, extra_info))
    return CheckedValue(value)


def _error(kind: str, message: str, details: str, extra_info: JsonObject) -> JsonObject:
    return {"type": kind, "message": message, "details": details, "extra_info": extra_info}


def _check_file(what: str) -> Callable[[object, FileStore], str | None]:
    def check(name: object, files: FileStore) -> str | None:
        return None if files.has_input(str(name)) else f"Invalid {what} file: {name}"

    return check


def _check_lab_message(message: object, files: FileStore) -> str | None:
    del files
    if message == "raise":
        raise KeyError("validator blew up")
    return None if message == "ok" else str(message)


_OWN_CHECKS = {
    "LoadImage": OwnCheck("image", _check_file("image")),
    "LoadImageMask": OwnCheck("image", _check_file("image")),
    "LoadAudio": OwnCheck("audio", _check_file("audio")),
    "LabValidate": OwnCheck("msg", _check_lab_message),
}
