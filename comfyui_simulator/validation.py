"""Validate a prompt before it is queued, with the errors of the real server (recorded: rejected prompts)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from comfyui_simulator.errors import fake_traceback
from comfyui_simulator.input_checks import check_value, is_type_accepted, own_check_of

if TYPE_CHECKING:
    from comfyui_simulator.file_store import FileStore
    from comfyui_simulator.object_info import ObjectInfo
    from comfyui_simulator.types import InputConfig, JsonObject, Prompt


@dataclass(frozen=True)
class Validation:
    """The errors of a prompt, and the outputs that can be executed anyway.

    `error` is None if at least one output can; `node_errors` may then still name faulty nodes of other outputs.
    """

    error: JsonObject | None
    outputs: list[str] = field(default_factory=list)
    node_errors: JsonObject = field(default_factory=dict)


@dataclass
class _CheckedNode:
    """Whether a node and all its inputs are valid, and its own errors."""

    is_valid: bool = False
    errors: list[JsonObject] = field(default_factory=list)


def prompt_error(kind: str, message: str, details: str = "") -> JsonObject:
    """Return an error as POST /prompt returns it."""
    return {"type": kind, "message": message, "details": details, "extra_info": {}}


def validate_prompt(prompt: Prompt, object_info: ObjectInfo, files: FileStore) -> Validation:
    """Check a prompt; numbers, texts and booleans in it are converted in place to the types of their inputs.

    Raises Exception when the prompt is not an object of objects; the real server returns 500 as well.
    """
    for node_id, node in prompt.items():
        if "class_type" not in node:
            message = "Cannot execute because a node is missing the class_type property."
            return Validation(prompt_error("invalid_prompt", message, f"Node ID '#{node_id}'"))
        if node["class_type"] not in object_info:
            message = f"Cannot execute because node {node['class_type']} does not exist."
            return Validation(prompt_error("invalid_prompt", message, f"Node ID '#{node_id}'"))
    outputs = [node_id for node_id, node in prompt.items() if object_info.is_output(node["class_type"])]
    if not outputs:
        return Validation(prompt_error("prompt_no_outputs", "Prompt has no outputs"))
    return _Validator(prompt, object_info, files).validate(outputs)


class _Validator:
    def __init__(self, prompt: Prompt, object_info: ObjectInfo, files: FileStore) -> None:
        self._prompt = prompt
        self._object_info = object_info
        self._files = files
        self._checked: dict[str, _CheckedNode] = {}
        self._being_checked: set[str] = set()

    def validate(self, outputs: list[str]) -> Validation:
        good_outputs = []
        reasons = []
        node_errors: JsonObject = {}
        for output in outputs:
            checked = self._check_output(output)
            if checked.is_valid:
                good_outputs.append(output)
                continue
            reasons += [f"{error['message']}: {error['details']}" for error in checked.errors]
            # Every faulty node found so far is blamed for this output, needed by it or not, as on the real server.
            for node_id, result in self._checked.items():
                if result.errors:
                    empty = {"errors": result.errors, "dependent_outputs": [], "class_type": self._class_of(node_id)}
                    node_errors.setdefault(node_id, empty)["dependent_outputs"].append(output)
        if good_outputs:
            return Validation(None, good_outputs, node_errors)
        error = prompt_error("prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(reasons))
        return Validation(error, [], node_errors)

    def _check_output(self, node_id: str) -> _CheckedNode:
        try:
            return self._check_node(node_id)
        except Exception as error:  # noqa: BLE001  whatever a faulty prompt raises is reported to the client
            details = {
                "type": "exception_during_validation",
                "message": "Exception when validating node",
                "details": str(error),
                "extra_info": {
                    "exception_type": type(error).__name__,
                    "traceback": fake_traceback(("execution.py", 1024, "validate_prompt")),
                },
            }
            return self._remember(node_id, _CheckedNode(is_valid=False, errors=[details]))

    def _check_node(self, node_id: str) -> _CheckedNode:
        if node_id in self._checked:
            return self._checked[node_id]
        if node_id in self._being_checked:
            # A cycle: nothing in it can run, and no error explains it (recorded: self cycle).
            return _CheckedNode(is_valid=False)
        self._being_checked.add(node_id)
        try:
            return self._remember(node_id, self._check_inputs(node_id))
        finally:
            self._being_checked.discard(node_id)

    def _check_inputs(self, node_id: str) -> _CheckedNode:
        inputs: JsonObject = self._prompt[node_id]["inputs"]
        class_type = self._class_of(node_id)
        result = _CheckedNode(is_valid=True)
        own_check = own_check_of(class_type)
        for name, config in self._object_info.inputs(class_type).items():
            if name not in inputs:
                if self._object_info.is_required(class_type, name):
                    message = "Required input is missing"
                    _blame(result, "required_input_missing", message, name, {"input_name": name})
            elif isinstance(inputs[name], list):
                self._check_link(result, name, config, inputs[name])
            else:
                is_own = own_check is not None and own_check.input_name == name
                check = check_value(name, config, inputs[name], is_checked_by_node=is_own)
                if check.error is None:
                    inputs[name] = check.value
                else:
                    result.is_valid = False
                    result.errors.append(check.error)
        if own_check is not None:
            name = own_check.input_name
            if name not in inputs:
                raise TypeError(f"{class_type}.VALIDATE_INPUTS() missing 1 required positional argument: '{name}'")
            verdict = None if isinstance(inputs[name], list) else own_check.check(inputs[name], self._files)
            if verdict is not None:
                message = "Custom validation failed for node"
                _blame(result, "custom_validation_failed", message, f"{name} - {verdict}", {"input_name": name})
        return result

    def _check_link(self, result: _CheckedNode, name: str, config: InputConfig, link: list[Any]) -> None:
        extra_info = {"input_name": name, "input_config": config}
        if len(link) != 2:  # noqa: PLR2004  a link is a pair
            message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            _blame(result, "bad_linked_input", message, name, {**extra_info, "received_value": link})
            return
        # The right-hand sides may raise, as on the real server: an unknown node, a slot that does not exist.
        source, slot = link
        received_type = tuple(self._object_info.outputs(self._class_of(source)))[slot]
        wanted_type = config[0]
        if not is_type_accepted(received_type, wanted_type):
            _blame(
                result,
                "return_type_mismatch",
                "Return type mismatch between linked nodes",
                f"{name}, received_type({received_type}) mismatch input_type({wanted_type})",
                {**extra_info, "received_type": received_type, "linked_node": link},
            )
            return
        try:
            source_is_valid = self._check_node(source).is_valid
        except Exception as error:  # noqa: BLE001  whatever a faulty prompt raises is reported to the client
            source_is_valid = False
            details = {
                **extra_info,
                "exception_message": str(error),
                "exception_type": type(error).__name__,
                "traceback": fake_traceback(("execution.py", 822, "validate_inputs")),
                "linked_node": link,
            }
            inner = _CheckedNode()
            message = "Exception when validating inner node"
            _blame(inner, "exception_during_inner_validation", message, str(error), details)
            self._remember(source, inner)
        result.is_valid = result.is_valid and source_is_valid

    def _class_of(self, node_id: str) -> str:
        class_type: str = self._prompt[node_id]["class_type"]
        return class_type

    def _remember(self, node_id: str, checked: _CheckedNode) -> _CheckedNode:
        self._checked[node_id] = checked
        return checked


def _blame(result: _CheckedNode, kind: str, message: str, details: str, extra_info: JsonObject) -> None:
    result.is_valid = False
    result.errors.append({"type": kind, "message": message, "details": details, "extra_info": extra_info})
