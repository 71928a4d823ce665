"""Errors of rejected graphs, from responses that were recorded on a real ComfyUI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from executor.comfyui.errors.rejected import AllowedValues, allowed_by_config, rejection
from executor.comfyui.errors.sanitize import WITHHELD
from gateway.errors import ComfyUIRejectedError, ComfyUIUnreachableError
from testing.clock import FakeClock

RECORDING = Path(__file__).parents[1] / "simulator" / "recordings" / "10_rejected_prompts.json"
CALLS = [entry["http"] for entry in json.loads(RECORDING.read_text())]
REJECTED: dict[str, dict[str, Any]] = {
    call["case"]: call
    for call in CALLS
    if isinstance(call["body"], dict) and ("error" in call["body"] or call["body"].get("node_errors"))
}
MODELS = ("tiny_sd15.safetensors", "nano_sd15.safetensors", "random_sd15.safetensors")
NOT_ALLOWED = "which is not an allowed value; similar allowed values:"
SAMPLERS = ["euler", "euler_ancestral", "heun", "dpm_2", "bogosort"]


def samplers_info(class_type: str, _seconds: float) -> dict[str, Any]:
    """Describe KSampler only, as ComfyUI does at /object_info."""
    known = {"KSampler": {"input": {"required": {"sampler_name": [SAMPLERS, {}]}}}}
    return {class_type: known[class_type]} if class_type in known else {}


def rejected(response: dict[str, Any], prompt: dict[str, Any], *, private: bool = False) -> ComfyUIRejectedError:
    """Turn a response into the job's error."""
    return rejection(response, prompt, AllowedValues(samplers_info, FakeClock()), private=private)


def message_of(case: str, *, private: bool = False) -> str:
    """Return the message of a recorded rejection; every error has a recommendation."""
    call = REJECTED[case]
    sent = call["request"]["json"]
    prompt = sent.get("prompt", {}) if isinstance(sent, dict) else {}
    error = rejected(call["body"], prompt, private=private)
    assert error.recommendation
    return error.message


@pytest.mark.parametrize(
    ("case", "described"),
    [
        ("required_input_missing", "node 1 (EmptyImage): the input width is missing"),
        ("value_smaller_than_min", "node 1 (EmptyImage): width is 0; it must be at least 1"),
        ("value_bigger_than_max", "node 1 (EmptyImage): width is 10000000; it must be at most 16384"),
        ("invalid_input_type", 'node 1 (EmptyImage): width is "abc", which is not INT'),
        (
            "value_not_in_list_checkpoint",
            f'node 4 (CheckpointLoaderSimple): ckpt_name is "missing.safetensors", {NOT_ALLOWED} {", ".join(MODELS)}',
        ),
        (
            "value_not_in_list_sampler(long list)",
            f'node 3 (KSampler): sampler_name is "bogus", {NOT_ALLOWED} bogosort',
        ),
        ("custom_validation_failed", "node 3 (LabValidate): Custom validation failed for node: msg - nope!"),
        ("unknown_class", "Cannot execute because node NoSuchNode does not exist: Node ID '#1'"),
        ("no_outputs", "Prompt has no outputs"),
        ("partially_valid_200", "node 5 (SaveImage): the input images is missing"),
    ],
)
def test_a_rejection_names_node_input_and_problem(case: str, described: str) -> None:
    """And what would be valid."""
    assert described in message_of(case)


def test_several_problems_are_all_named() -> None:
    """Not only the first one."""
    message = message_of("several_errors")
    assert all(text in message for text in ("missing.safetensors", "seed is missing", "cfg is -5"))


@pytest.mark.parametrize("case", sorted(REJECTED))
def test_rejections_contain_no_paths_or_stack_traces(case: str) -> None:
    """Neither a path of the server nor its stack trace is in any message."""
    assert "/opt" not in message_of(case)
    assert "Traceback" not in message_of(case)


@pytest.mark.parametrize("case", sorted(REJECTED))
def test_a_private_rejection_has_no_values(case: str) -> None:
    """It has node, input and error type only; a similar value would reveal the value."""
    message = message_of(case, private=True)
    assert message.endswith(WITHHELD)
    for given in ("missing.safetensors", *MODELS, "bogus", *SAMPLERS, "nope", "abc", "10000000", "-5"):
        assert given not in message


def test_a_node_is_named_by_its_title() -> None:
    """As it is in ComfyUI's editor; a private job's title can contain what it was given."""
    call = REJECTED["value_smaller_than_min"]
    prompt = {"1": {"class_type": "EmptyImage", "_meta": {"title": "Canvas"}}}
    allowed = rejected(call["body"], prompt).message
    assert 'node 1 "Canvas" (EmptyImage): width is 0' in allowed
    assert "Canvas" not in rejected(call["body"], prompt, private=True).message


def test_the_message_is_limited() -> None:
    """However many errors there are, and however long the values are."""
    error = {
        "type": "value_not_in_list",
        "extra_info": {"input_name": "x" * 9999, "received_value": "y" * 10**6, "input_config": [["z" * 9999] * 9999]},
    }
    response = {"node_errors": {str(number): {"errors": [error], "class_type": "c" * 9999} for number in range(500)}}
    message = rejected(response, {}).message
    assert "(and 490 more)" in message
    assert len(message) < 10_000


def test_the_recommendation_depends_on_the_problem() -> None:
    """A missing model, missing custom nodes, or wrong inputs."""

    def recommendation(case: str) -> str | None:
        return rejected(REJECTED[case]["body"], {}).recommendation

    assert "model" in str(recommendation("value_not_in_list_checkpoint"))
    assert "custom nodes" in str(recommendation("unknown_class"))
    assert "inputs" in str(recommendation("value_bigger_than_max"))


@pytest.mark.parametrize("response", [{}, {"error": "no"}, {"node_errors": {"1": None, "2": {"errors": ["x", {}]}}}])
def test_an_unknown_response_is_a_rejection(response: dict[str, Any]) -> None:
    """Another version of ComfyUI may use another format."""
    assert rejected(response, {}).message.startswith("ComfyUI rejected the graph: ")


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ([["a", "b"], {}], ["a", "b"]),
        (["COMBO", {"options": ["a"]}], ["a"]),
        (["INT", {"min": 1}], []),
        ([], []),
        (None, []),
    ],
)
def test_allowed_values_of_an_input(config: object, names: list[str]) -> None:
    """Older and newer servers use different formats."""
    assert allowed_by_config(config) == names


def info(class_type: str, _seconds: float) -> dict[str, Any]:
    """Describe a class as /object_info does."""
    declared = {"required": {"a": [["x", "y"], {}]}, "optional": {"b": ["COMBO", {"options": ["z"]}]}}
    return {class_type: {"input": declared}}


def test_allowed_values_are_those_that_comfyui_declares() -> None:
    """For required and optional inputs; unknown inputs have none."""
    known = AllowedValues(info, FakeClock())
    assert [known.of_input("Loader", name) for name in "abc"] == [["x", "y"], ["z"], []]


def test_a_node_class_is_read_once() -> None:
    """Also after a failure: a graph can have many nodes of one class."""
    requested: list[str] = []

    def fails(class_type: str, _seconds: float) -> dict[str, Any]:
        requested.append(class_type)
        raise ComfyUIUnreachableError("gone")

    known, pairs = AllowedValues(fails, FakeClock()), [("Loader", "a"), ("Loader", "b"), ("Other", "a")]
    assert [known.of_input(*pair) for pair in pairs] == [
        [],
        [],
        [],
    ]
    assert requested == ["Loader", "Other"]


def test_reading_allowed_values_has_a_time_limit() -> None:
    """All classes of a graph share it; afterwards no class is read."""
    clock = FakeClock()
    requested: list[float] = []

    def slow(class_type: str, seconds: float) -> dict[str, Any]:
        requested.append(seconds)
        clock.advance(3)
        return info(class_type, seconds)

    known = AllowedValues(slow, clock)
    assert [len(known.of_input(name, "a")) for name in ("First", "Second", "Third")] == [2, 2, 0]
    assert requested == [5.0, 2.0]


@pytest.mark.parametrize(
    "description", [{}, {"Loader": None}, {"Loader": {"input": []}}, {"Loader": {"input": {"required": 1}}}]
)
def test_an_unknown_description_has_no_values(description: dict[str, Any]) -> None:
    """It may be of another program or version."""
    assert AllowedValues(lambda *_: description, FakeClock()).of_input("Loader", "a") == []
