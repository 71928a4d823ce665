"""Turn a graph that ComfyUI rejected into a job error: node, input, what is wrong, and what would be valid.

ComfyUI lists the invalid inputs of each node in `node_errors` of POST /prompt (error types as in its execution.py),
but leaves out long lists of allowed values: those are read from /object_info. For a private job the error has the node,
the input and the type of problem, but no value and no similar value.
"""

from __future__ import annotations

import difflib
from itertools import islice
from typing import TYPE_CHECKING, Any

from executor.comfyui.errors.sanitize import WITHHELD, node_name, sanitize
from gateway.errors import ComfyUIRejectedError, ComfyUIUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gateway.ports import Clock

    # Reads ComfyUI's description of a node class, within a number of seconds.
    ObjectInfo = Callable[[str, float], Mapping[str, Any]]

_MAX_PROBLEMS_SHOWN = 10
_MAX_SUGGESTIONS = 3
_MAX_COMPARED = 2000  # allowed values; comparing takes time
_MAX_VALUE_CHARACTERS = 120
_MIN_SIMILARITY = 0.4  # difflib's ratio; below it names have little more than their file extension in common
_MAX_OBJECT_INFO_SECONDS = 5.0  # for all node classes of one graph
_INPUT_GROUPS = ("required", "optional")
_MODEL_EXTENSIONS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".sft", ".onnx")
# ComfyUI's text for each error type, without the values that it inserts.
_DESCRIPTIONS = {
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
    response: Mapping[str, Any], prompt: Mapping[str, Any], allowed_values: AllowedValues, *, private: bool
) -> ComfyUIRejectedError:
    """Turn ComfyUI's rejection of a prompt, in whole or in part, into the job's error.

    `private`: the error contains nothing that the job was given, and `allowed_values` is not read.
    """
    problems = list(_problems(response.get("node_errors")))
    kinds = {problem.kind for problem in problems} or {_graph_problem(response).kind}
    shown = [
        f"{node_name(problem.node_id, problem.class_type, prompt, private=private)}: "
        + (problem.without_values if private else problem.with_values(allowed_values, prompt))
        for problem in islice(problems, _MAX_PROBLEMS_SHOWN)
    ]
    if not shown:
        graph = _graph_problem(response)
        shown = [graph.without_values if private else graph.as_reported]
    more = f" (and {len(problems) - len(shown)} more)" if len(problems) > len(shown) else ""
    text = f"ComfyUI rejected the graph: {'; '.join(shown)}{more}."
    return ComfyUIRejectedError(f"{text} {WITHHELD}" if private else text, _recommendation(kinds, problems))


class AllowedValues:
    """Allowed values of node inputs, from ComfyUI's /object_info, to suggest values similar to an invalid one.

    Best effort with a short time limit: the graph is rejected in any case. Each node class is read once.
    """

    def __init__(self, object_info: ObjectInfo, clock: Clock) -> None:
        self._object_info = object_info
        self._clock = clock
        self._inputs_by_class: dict[str, Mapping[str, Any]] = {}
        self._deadline = clock.monotonic() + _MAX_OBJECT_INFO_SECONDS

    def of_input(self, class_type: str, name: str) -> Sequence[str]:
        """List the allowed values of an input; empty when they are not known."""
        if class_type not in self._inputs_by_class:
            self._inputs_by_class[class_type] = self._read_inputs(class_type)
        return allowed_by_config(self._inputs_by_class[class_type].get(name))

    def _read_inputs(self, class_type: str) -> Mapping[str, Any]:
        """Read the declared inputs of a class, by name."""
        remaining_seconds = self._deadline - self._clock.monotonic()
        if remaining_seconds <= 0:
            return {}
        try:
            info = self._object_info(class_type, remaining_seconds).get(class_type)
        except ComfyUIUnreachableError:
            return {}
        declared = info.get("input") if isinstance(info, dict) else None
        groups = [declared.get(group) for group in _INPUT_GROUPS] if isinstance(declared, dict) else []
        return {name: config for group in groups if isinstance(group, dict) for name, config in group.items()}


def allowed_by_config(input_config: object) -> list[str]:
    """List the allowed values in ComfyUI's description of an input.

    Older servers use `[[values…], {…}]`, newer ones `["COMBO", {"options": [values…]}]`.
    """
    kind, options = (*input_config, None, None)[:2] if isinstance(input_config, list) else (None, None)
    values = options.get("options") if kind == "COMBO" and isinstance(options, dict) else kind
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


class _Problem:
    """One error that ComfyUI reports about a node or about the whole graph."""

    def __init__(self, error: Mapping[str, Any], node_id: str = "", class_type: str = "") -> None:
        extra = error.get("extra_info")
        self._error = error
        self._extra = extra if isinstance(extra, dict) else {}
        self.node_id = node_id
        self.class_type = class_type
        self.kind = str(error.get("type"))
        self.input = sanitize(self._extra.get("input_name", ""))

    @property
    def without_values(self) -> str:
        """Describe the problem by its type and the input's name, which comes from the node class, not the caller."""
        description = _DESCRIPTIONS.get(self.kind, "rejected")
        return f"{description} ({self.input})" if self.input else description

    @property
    def as_reported(self) -> str:
        """Describe the problem in ComfyUI's own words."""
        message, details = (sanitize(self._error.get(key) or "").rstrip(".") for key in ("message", "details"))
        message = message or "no reason given"
        return f"{message}: {details}" if details not in ("", message) else message

    @property
    def is_missing_model(self) -> bool:
        """Whether the value names a model file that ComfyUI's host does not have."""
        value = str(self._extra.get("received_value", "")).lower()
        return self.kind == "value_not_in_list" and value.endswith(_MODEL_EXTENSIONS)

    def with_values(self, allowed_values: AllowedValues, prompt: Mapping[str, Any]) -> str:
        """Describe the problem with the value that was sent and with what is allowed."""
        match self.kind:
            case "required_input_missing":
                return f"the input {self.input} is missing"
            case "value_smaller_than_min":
                return f"{self.input} is {self._value}; it must be at least {self._limit('min')}"
            case "value_bigger_than_max":
                return f"{self.input} is {self._value}; it must be at most {self._limit('max')}"
            case "invalid_input_type":
                return f"{self.input} is {self._value}, which is not {self._expected_type}"
            case "value_not_in_list":
                text = f"{self.input} is {self._value}, which is not an allowed value"
                similar = self._similar_values(allowed_values, prompt)
                return f"{text}; similar allowed values: {', '.join(similar)}" if similar else text
        return self.as_reported

    def _similar_values(self, allowed_values: AllowedValues, prompt: Mapping[str, Any]) -> list[str]:
        class_type = str(prompt.get(self.node_id, {}).get("class_type", self.class_type))
        allowed = allowed_by_config(self._extra.get("input_config")) or allowed_values.of_input(class_type, self.input)
        by_lower_case = {value.lower(): value for value in allowed[:_MAX_COMPARED]}
        received = str(self._extra.get("received_value", "")).lower()[:_MAX_VALUE_CHARACTERS]
        similar = difflib.get_close_matches(received, by_lower_case, n=_MAX_SUGGESTIONS, cutoff=_MIN_SIMILARITY)
        shown = similar or list(by_lower_case)[:_MAX_SUGGESTIONS]
        return [sanitize(by_lower_case[value], _MAX_VALUE_CHARACTERS) for value in shown]

    def _limit(self, name: str) -> str:
        config = self._extra.get("input_config")
        options = config[1] if isinstance(config, list) and len(config) > 1 else None
        return sanitize(options.get(name)) if isinstance(options, dict) else "the limit"

    @property
    def _expected_type(self) -> str:
        config = self._extra.get("input_config")
        expected = config[0] if isinstance(config, list) and config else None
        return sanitize(expected) if isinstance(expected, str) else "of the right type"

    @property
    def _value(self) -> str:
        value = self._extra.get("received_value")
        shown = sanitize(value, _MAX_VALUE_CHARACTERS)
        return f'"{shown}"' if isinstance(value, str) else shown


def _graph_problem(response: Mapping[str, Any]) -> _Problem:
    error = response.get("error")
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
        return "Use a model that ComfyUI's host has, or add the missing file there."
    return "Correct the named inputs of the job. If they are fixed in the workflow, correct the workflow."
