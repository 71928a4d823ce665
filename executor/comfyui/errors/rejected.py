"""A graph that ComfyUI refused, in sentences: node, input, what is wrong with it, and what would be right.

ComfyUI says per node which inputs it does not take (`node_errors` of POST /prompt, kinds as in its execution.py), and
leaves out what could be chosen when there is much of it. Of a private job's graph it is told which input of which node
is wrong in what way, and no value, nor what is near to one.
"""

from __future__ import annotations

import difflib
from itertools import islice
from typing import TYPE_CHECKING, Any

from executor.comfyui.errors.allowed_values import offered_by
from executor.comfyui.errors.sanitize import WITHHELD, node_name, sanitised
from gateway.errors import ComfyUIRejectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    # Asked for a class of node and an input of it; answers what that input can be, nothing when nobody knows.
    AllowedValues = Callable[[str, str], Sequence[str]]

_MAX_SENTENCES = 10
_MAX_NEAREST = 3
_MAX_COMPARED = 2000  # names; comparing costs time
_MAX_VALUE_CHARACTERS = 120
_LIKENESS = 0.4  # of difflib; lower ones have nothing in common but an ending
_MODEL_ENDINGS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".sft", ".onnx")
# What ComfyUI says of each kind, but for the values that it puts in.
_KINDS = {
    "bad_linked_input": "Bad linked input",
    "custom_validation_failed": "Custom validation failed for node",
    "exception_during_inner_validation": "Exception when validating inner node",
    "exception_during_validation": "Exception when validating node",
    "invalid_input_type": "Failed to convert an input value to the type of the input",
    "invalid_prompt": "Cannot execute because a node has no class, or one that does not exist",
    "no_prompt": "No prompt provided",
    "prompt_no_outputs": "Prompt has no outputs",
    "prompt_outputs_failed_validation": "Prompt outputs failed validation",
    "required_input_missing": "Required input is missing",
    "return_type_mismatch": "Return type mismatch between linked nodes",
    "value_bigger_than_max": "Value bigger than max",
    "value_not_in_list": "Value not in list",
    "value_smaller_than_min": "Value smaller than min",
}


def rejection(
    answer: Mapping[str, Any], prompt: Mapping[str, Any], choices: AllowedValues, *, private: bool
) -> ComfyUIRejectedError:
    """Turn a refusal of POST /prompt, or a partial acceptance, into the job's error.

    `private`: nothing of what the job was given is in it. `choices` is asked for what is shown only.
    """
    problems = list(_problems(answer.get("node_errors")))
    kinds = {problem.kind for problem in problems} or {_of_graph(answer).kind}
    shown = [
        f"{node_name(problem.node_id, problem.class_type, prompt, private=private)}: "
        + (problem.kind_only if private else problem.allowed(choices, prompt))
        for problem in islice(problems, _MAX_SENTENCES)
    ] or [_of_graph(answer).kind_only if private else _of_graph(answer).in_its_own_words]
    more = f" (and {len(problems) - len(shown)} more)" if len(problems) > len(shown) else ""
    text = f"ComfyUI refused the graph: {'; '.join(shown)}{more}."
    return ComfyUIRejectedError(f"{text} {WITHHELD}" if private else text, _recommendation(kinds, problems))


class _Problem:
    """One of ComfyUI's complaints, about a node or about the graph."""

    def __init__(self, error: Mapping[str, Any], node_id: str = "", class_type: str = "") -> None:
        extra = error.get("extra_info")
        self._error = error
        self._extra = extra if isinstance(extra, dict) else {}
        self.node_id = node_id
        self.class_type = class_type
        self.kind = str(error.get("type"))
        self.input = sanitised(self._extra.get("input_name", ""))

    @property
    def kind_only(self) -> str:
        """Say what kind of problem it is, and at which input: that name is the node's, not the caller's."""
        reason = _KINDS.get(self.kind, "refused")
        return f"{reason} ({self.input})" if self.input else reason

    @property
    def in_its_own_words(self) -> str:
        """Say it as ComfyUI does."""
        message, details = (sanitised(self._error.get(key) or "").rstrip(".") for key in ("message", "details"))
        message = message or "it gave no reason"
        return f"{message}: {details}" if details not in ("", message) else message

    @property
    def is_missing_model(self) -> bool:
        """Whether a file of a model is named that ComfyUI's host does not have."""
        named = str(self._extra.get("received_value", "")).lower()
        return self.kind == "value_not_in_list" and named.endswith(_MODEL_ENDINGS)

    def allowed(self, choices: AllowedValues, prompt: Mapping[str, Any]) -> str:
        """Say it with what was sent, and with what would be right."""
        match self.kind:
            case "required_input_missing":
                return f"the input {self.input} is missing"
            case "value_smaller_than_min":
                return f"{self.input} is {self._value}; it must be at least {self._bound('min')}"
            case "value_bigger_than_max":
                return f"{self.input} is {self._value}; it must be at most {self._bound('max')}"
            case "invalid_input_type":
                return f"{self.input} is {self._value}, which is not {self._wanted_type}"
            case "value_not_in_list":
                text = f"{self.input} is {self._value}, which is none of those that ComfyUI has"
                nearest = self._nearest(choices, prompt)
                return f"{text}; the nearest: {', '.join(nearest)}" if nearest else text
        return self.in_its_own_words

    def _nearest(self, choices: AllowedValues, prompt: Mapping[str, Any]) -> list[str]:
        class_type = str(prompt.get(self.node_id, {}).get("class_type", self.class_type))
        offered = offered_by(self._extra.get("input_config")) or choices(class_type, self.input)
        names = {name.lower(): name for name in offered[:_MAX_COMPARED]}
        wanted = str(self._extra.get("received_value", "")).lower()[:_MAX_VALUE_CHARACTERS]
        alike = difflib.get_close_matches(wanted, names, n=_MAX_NEAREST, cutoff=_LIKENESS)
        return [sanitised(names[name], _MAX_VALUE_CHARACTERS) for name in alike or list(names)[:_MAX_NEAREST]]

    def _bound(self, name: str) -> str:
        config = self._extra.get("input_config")
        options = config[1] if isinstance(config, list) and len(config) > 1 else None
        return sanitised(options.get(name)) if isinstance(options, dict) else "another"

    @property
    def _wanted_type(self) -> str:
        config = self._extra.get("input_config")
        wanted = config[0] if isinstance(config, list) and config else None
        return sanitised(wanted) if isinstance(wanted, str) else "of the right type"

    @property
    def _value(self) -> str:
        value = self._extra.get("received_value")
        shown = sanitised(value, _MAX_VALUE_CHARACTERS)
        return f'"{shown}"' if isinstance(value, str) else shown


def _of_graph(answer: Mapping[str, Any]) -> _Problem:
    error = answer.get("error")
    return _Problem(error if isinstance(error, dict) else {})


def _problems(node_errors: object) -> Iterator[_Problem]:
    for node_id, node in node_errors.items() if isinstance(node_errors, dict) else ():
        errors = node.get("errors") if isinstance(node, dict) else None
        for error in errors if isinstance(errors, list) else ():
            if isinstance(error, dict):
                yield _Problem(error, str(node_id), str(node.get("class_type")))


def _recommendation(kinds: set[str], problems: Sequence[_Problem]) -> str:
    if "invalid_prompt" in kinds:
        return "Install the custom nodes that the workflow needs on ComfyUI's host, or correct the workflow."
    if any(problem.is_missing_model for problem in problems):
        return "Name a model that ComfyUI's host has, or put the missing file there."
    return "Correct the inputs that it names, or the workflow where they are fixed in it."
