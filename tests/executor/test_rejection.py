"""What ComfyUI refuses, said so that a person can act on it: by recordings of a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from executor.comfyui.errors.allowed_values import AllowedValues, offered_by
from executor.comfyui.errors.rejected import rejection
from gateway.errors import ComfyUIUnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence

RECORDING = Path(__file__).parents[1] / "simulator" / "recordings" / "10_rejected_prompts.json"
CALLS = [entry["http"] for entry in json.loads(RECORDING.read_text())]
REFUSED: dict[str, dict[str, Any]] = {
    call["case"]: call
    for call in CALLS
    if isinstance(call["body"], dict) and ("error" in call["body"] or call["body"].get("node_errors"))
}
MODELS = ("tiny_sd15.safetensors", "nano_sd15.safetensors", "random_sd15.safetensors")
NO_SUCH_NAME = "which is none of those that ComfyUI has; the nearest:"
SAMPLERS = ["euler", "euler_ancestral", "heun", "dpm_2", "bogosort"]


def choices(class_type: str, name: str) -> Sequence[str]:
    """Know the samplers only, as ComfyUI tells them at /object_info."""
    return SAMPLERS if (class_type, name) == ("KSampler", "sampler_name") else ()


def said(case: str, *, private: bool = False) -> str:
    """Say a recorded refusal; no recommendation is missing."""
    call = REFUSED[case]
    sent = call["request"]["json"]
    prompt = sent.get("prompt", {}) if isinstance(sent, dict) else {}
    error = rejection(call["body"], prompt, choices, private=private)
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
            f'node 4 (CheckpointLoaderSimple): ckpt_name is "missing.safetensors", {NO_SUCH_NAME} {", ".join(MODELS)}',
        ),
        (
            "value_not_in_list_sampler(long list)",
            f'node 3 (KSampler): sampler_name is "bogus", {NO_SUCH_NAME} bogosort',
        ),
        ("custom_validation_failed", "node 3 (LabValidate): Custom validation failed for node: msg - nope!"),
        ("unknown_class", "Cannot execute because node NoSuchNode does not exist: Node ID '#1'"),
        ("no_outputs", "Prompt has no outputs"),
        ("partially_valid_200", "node 5 (SaveImage): the input images is missing"),
    ],
)
def test_a_refusal_is_a_sentence(case: str, sentence: str) -> None:
    """It names node, class and input, and what would be right."""
    assert said(case) == f"ComfyUI refused the graph: {sentence}."


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
    assert message.endswith("Privacy mode withholds the rest.")
    for given in ("missing.safetensors", *MODELS, "bogus", *SAMPLERS, "nope", "abc", "10000000", "-5"):
        assert given not in message


def test_a_node_has_its_title() -> None:
    """As its author called it on ComfyUI's page; of a private job it may be anything."""
    call = REFUSED["value_smaller_than_min"]
    prompt = {"1": {"class_type": "EmptyImage", "_meta": {"title": "Canvas"}}}
    allowed = rejection(call["body"], prompt, choices, private=False).message
    assert 'node 1 "Canvas" (EmptyImage): width is 0' in allowed
    assert "Canvas" not in rejection(call["body"], prompt, choices, private=True).message


def test_a_refusal_is_bounded() -> None:
    """However much is wrong, and however long the values are."""
    error = {
        "type": "value_not_in_list",
        "extra_info": {"input_name": "x" * 9999, "received_value": "y" * 10**6, "input_config": [["z" * 9999] * 9999]},
    }
    answer = {"node_errors": {str(number): {"errors": [error], "class_type": "c" * 9999} for number in range(500)}}
    message = rejection(answer, {}, choices, private=False).message
    assert "(and 490 more)" in message
    assert len(message) < 10_000


def test_a_missing_model_is_told_apart() -> None:
    """Its recommendation speaks of the file, others' of inputs."""

    def recommendation(case: str) -> str | None:
        return rejection(REFUSED[case]["body"], {}, choices, private=False).recommendation

    assert "model" in str(recommendation("value_not_in_list_checkpoint"))
    assert "custom nodes" in str(recommendation("unknown_class"))
    assert "inputs" in str(recommendation("value_bigger_than_max"))


@pytest.mark.parametrize("answer", [{}, {"error": "no"}, {"node_errors": {"1": None, "2": {"errors": ["x", {}]}}}])
def test_a_strange_answer_is_a_refusal_all_the_same(answer: dict[str, Any]) -> None:
    """A server of another version may say it otherwise."""
    assert rejection(answer, {}, choices, private=False).message.startswith("ComfyUI refused the graph: ")


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
    assert offered_by(config) == names


def info(class_type: str, _seconds: float) -> dict[str, Any]:
    """Describe a class as /object_info does."""
    declared = {"required": {"a": [["x", "y"], {}]}, "optional": {"b": ["COMBO", {"options": ["z"]}]}}
    return {class_type: {"input": declared}}


def test_choices_are_what_comfyui_declares() -> None:
    """Of required inputs and of optional ones; of others there are none."""
    known = AllowedValues(info)
    assert [known("Loader", name) for name in "abc"] == [["x", "y"], ["z"], []]


def test_a_class_is_asked_for_once() -> None:
    """A graph can have many nodes of it; and a failure is not repeated."""
    asked: list[str] = []

    def fails(class_type: str, _seconds: float) -> dict[str, Any]:
        asked.append(class_type)
        raise ComfyUIUnreachableError("gone")

    known = AllowedValues(fails)
    assert [known("Loader", "a"), known("Loader", "b"), known("Other", "a")] == [[], [], []]
    assert asked == ["Loader", "Other"]


def test_choices_take_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All questions of a graph share it; after that there are no more."""
    now = 100.0
    monkeypatch.setattr("executor.comfyui.errors.allowed_values.time.monotonic", lambda: now)
    asked: list[float] = []

    def slow(class_type: str, seconds: float) -> dict[str, Any]:
        nonlocal now
        asked.append(seconds)
        now += 3
        return info(class_type, seconds)

    known = AllowedValues(slow)
    assert [len(known(name, "a")) for name in ("First", "Second", "Third")] == [2, 2, 0]
    assert asked == [5.0, 2.0]


@pytest.mark.parametrize(
    "said", [{}, {"Loader": None}, {"Loader": {"input": []}}, {"Loader": {"input": {"required": 1}}}]
)
def test_a_strange_description_offers_nothing(said: dict[str, Any]) -> None:
    """It belongs to another program, or to a later version."""
    assert AllowedValues(lambda *_: said)("Loader", "a") == []
