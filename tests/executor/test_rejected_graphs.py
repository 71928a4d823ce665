"""What ComfyUI refuses, said so that a person can act on it: by recordings of a real server."""

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
REFUSED: dict[str, dict[str, Any]] = {
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


def said(case: str, *, private: bool = False) -> str:
    """Say a recorded refusal; no recommendation is missing."""
    call = REFUSED[case]
    sent = call["request"]["json"]
    prompt = sent.get("prompt", {}) if isinstance(sent, dict) else {}
    error = rejected(call["body"], prompt, private=private)
    assert error.recommendation
    return error.message


@pytest.mark.parametrize(
    ("case", "sentence"),
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
def test_a_refusal_is_a_sentence(case: str, sentence: str) -> None:
    """It names node, class and input, and what would be right."""
    assert said(case) == f"ComfyUI rejected the graph: {sentence}."


def test_several_problems_are_all_named() -> None:
    """Not the first only."""
    message = said("several_errors")
    assert all(text in message for text in ("missing.safetensors", "seed is missing", "cfg is -5"))


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_nothing_of_the_server_leaks(case: str) -> None:
    """Neither paths nor stack traces are in any refusal."""
    assert "/opt" not in said(case)
    assert "Traceback" not in said(case)


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_a_private_refusal_repeats_nothing(case: str) -> None:
    """Node, input and kind of error only; what is near to a value tells of the value."""
    message = said(case, private=True)
    assert message.endswith(WITHHELD)
    for given in ("missing.safetensors", *MODELS, "bogus", *SAMPLERS, "nope", "abc", "10000000", "-5"):
        assert given not in message


def test_a_node_has_its_title() -> None:
    """As its author called it on ComfyUI's page; of a private job it may be anything."""
    call = REFUSED["value_smaller_than_min"]
    prompt = {"1": {"class_type": "EmptyImage", "_meta": {"title": "Canvas"}}}
    allowed = rejected(call["body"], prompt).message
    assert 'node 1 "Canvas" (EmptyImage): width is 0' in allowed
    assert "Canvas" not in rejected(call["body"], prompt, private=True).message


def test_a_refusal_is_bounded() -> None:
    """However much is wrong, and however long the values are."""
    error = {
        "type": "value_not_in_list",
        "extra_info": {"input_name": "x" * 9999, "received_value": "y" * 10**6, "input_config": [["z" * 9999] * 9999]},
    }
    answer = {"node_errors": {str(number): {"errors": [error], "class_type": "c" * 9999} for number in range(500)}}
    message = rejected(answer, {}).message
    assert "(and 490 more)" in message
    assert len(message) < 10_000


def test_a_missing_model_is_told_apart() -> None:
    """Its recommendation speaks of the file, others' of inputs."""

    def recommendation(case: str) -> str | None:
        return rejected(REFUSED[case]["body"], {}).recommendation

    assert "model" in str(recommendation("value_not_in_list_checkpoint"))
    assert "custom nodes" in str(recommendation("unknown_class"))
    assert "inputs" in str(recommendation("value_bigger_than_max"))


@pytest.mark.parametrize("answer", [{}, {"error": "no"}, {"node_errors": {"1": None, "2": {"errors": ["x", {}]}}}])
def test_a_strange_answer_is_a_refusal_all_the_same(answer: dict[str, Any]) -> None:
    """A server of another version may say it otherwise."""
    assert rejected(answer, {}).message.startswith("ComfyUI rejected the graph: ")


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
def test_what_an_input_can_be(config: object, names: list[str]) -> None:
    """Older and newer servers describe it differently."""
    assert allowed_by_config(config) == names


def info(class_type: str, _seconds: float) -> dict[str, Any]:
    """Describe a class as /object_info does."""
    declared = {"required": {"a": [["x", "y"], {}]}, "optional": {"b": ["COMBO", {"options": ["z"]}]}}
    return {class_type: {"input": declared}}


def test_choices_are_what_comfyui_declares() -> None:
    """Of required inputs and of optional ones; of others there are none."""
    known = AllowedValues(info, FakeClock())
    assert [known.of_input("Loader", name) for name in "abc"] == [["x", "y"], ["z"], []]


def test_a_class_is_asked_for_once() -> None:
    """A graph can have many nodes of it; and a failure is not repeated."""
    asked: list[str] = []

    def fails(class_type: str, _seconds: float) -> dict[str, Any]:
        asked.append(class_type)
        raise ComfyUIUnreachableError("gone")

    known, pairs = AllowedValues(fails, FakeClock()), [("Loader", "a"), ("Loader", "b"), ("Other", "a")]
    assert [known.of_input(*pair) for pair in pairs] == [
        [],
        [],
        [],
    ]
    assert asked == ["Loader", "Other"]


def test_choices_take_a_bounded_time() -> None:
    """All questions of a graph share it; after that there are no more."""
    clock = FakeClock()
    asked: list[float] = []

    def slow(class_type: str, seconds: float) -> dict[str, Any]:
        asked.append(seconds)
        clock.advance(3)
        return info(class_type, seconds)

    known = AllowedValues(slow, clock)
    assert [len(known.of_input(name, "a")) for name in ("First", "Second", "Third")] == [2, 2, 0]
    assert asked == [5.0, 2.0]


@pytest.mark.parametrize(
    "said", [{}, {"Loader": None}, {"Loader": {"input": []}}, {"Loader": {"input": {"required": 1}}}]
)
def test_a_strange_description_offers_nothing(said: dict[str, Any]) -> None:
    """It belongs to another program, or to a later version."""
    assert AllowedValues(lambda *_: said, FakeClock()).of_input("Loader", "a") == []
