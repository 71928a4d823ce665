"""Inputs and parameters of a job: validation, defaults, limits and random seeds."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.inputs import Limits, Values
from gateway.domain.workflow import WorkflowTemplate
from gateway.errors import RequestInvalidError
from gateway.limits import MAX_INPUT_CHARACTERS, MAX_SEED

LIMITS = Limits(max_image_size=2048, max_batch_size=8)
PROPERTIES: dict[str, Any] = {
    "prompt": {"type": "string", "maxLength": 1000},
    "steps": {"type": "integer", "minimum": 1, "maximum": 100, "default": 30},
    "cfg": {"type": "number"},
    "upscale": {"type": "boolean", "default": False},
}
PARAMS: dict[str, Any] = {"cfg": 7.0, "checkpoint": "base.safetensors", "denoise": 1, "tiled": True, "vae": None}


def workflow(
    properties: dict[str, Any] | None = None, params: dict[str, Any] | None = None, required: tuple[str, ...] = ()
) -> WorkflowTemplate:
    """Make a workflow with these inputs and parameters; its graph does not matter."""
    schema = {"properties": PROPERTIES if properties is None else properties, "required": list(required)}
    return WorkflowTemplate.register({"1": {"class_type": "A", "inputs": {}}}, schema, params)


def resolve(template: WorkflowTemplate, given: dict[str, Any], params: dict[str, Any] | None = None) -> Values:
    """Validate what a caller sent, and add the defaults."""
    return template.values(given, params or {}, LIMITS)


def problems(
    template: WorkflowTemplate, given: dict[str, Any], params: dict[str, Any] | None = None
) -> list[tuple[str, str]]:
    """List the problems of a request: path and message."""
    with pytest.raises(RequestInvalidError) as caught:
        resolve(template, given, params)
    return [(problem.path, problem.message) for problem in caught.value.problems]


def test_defaults_are_applied() -> None:
    """A missing value comes from the schema, or from defaultParams if the schema has no default."""
    values = resolve(workflow(params=PARAMS), {"prompt": "a fox"})
    assert values.inputs == {"prompt": "a fox", "steps": 30, "cfg": 7.0, "upscale": False}
    assert values.params == {"checkpoint": "base.safetensors", "denoise": 1, "tiled": True, "vae": None}
    assert values.merged == {**values.params, **values.inputs}
    assert values.seed is None


def test_params_override_default_params() -> None:
    """A sent parameter replaces its default."""
    values = resolve(workflow(params=PARAMS), {}, {"checkpoint": "other.safetensors", "denoise": 0.5, "vae": "x"})
    assert values.params == {"checkpoint": "other.safetensors", "denoise": 0.5, "tiled": True, "vae": "x"}


def test_an_input_may_be_sent_as_a_parameter() -> None:
    """A name of the schema is accepted in params too; if it is in both, the input takes precedence."""
    assert resolve(workflow(), {}, {"steps": 5}).inputs["steps"] == 5
    assert resolve(workflow(), {"steps": 7}, {"steps": 5}).inputs["steps"] == 7


def test_an_input_sent_as_a_parameter_is_checked() -> None:
    """The schema applies to it as to any input."""
    assert [path for path, _ in problems(workflow(), {}, {"steps": 500})] == ["inputs.steps"]


def test_all_problems_are_listed_at_once() -> None:
    """Missing, invalid, unknown and too large values are reported together."""
    template = workflow(
        {**PROPERTIES, "width": {"type": "integer", "maximum": 9999}}, PARAMS, required=("prompt", "negative")
    )
    found = problems(
        template,
        {"steps": 0, "stpes": 5, "upscale": [1], "width": 4096, "cfg": "7"},
        {"denoise": "much", "sampler": "euler"},
    )
    assert sorted(path for path, _ in found) == [
        "inputs.cfg", "inputs.negative", "inputs.prompt", "inputs.steps", "inputs.stpes", "inputs.upscale",
        "inputs.width", "params.denoise", "params.sampler",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "integer"},
        {"enum": ["a", "b"]},
        {"const": "a"},
        {"maxLength": 3},
        {"minLength": 50},
        {"pattern": "^x"},
        {"not": {"type": "string"}},
        {"anyOf": [{"type": "integer"}, {"const": "a"}]},
        {"oneOf": [{"type": "string"}, {"minLength": 1}]},
        {"$ref": "#/$defs/number"},
    ],
    ids=str,
)
def test_no_problem_repeats_a_value(rule: dict[str, Any]) -> None:
    """Messages never contain input values, whatever rule fails: messages are logged and stored."""
    schema = {
        "properties": {"prompt": rule},
        "$defs": {"number": {"type": "number"}},
        "not": {"required": ["prompt"]},
    }
    template = WorkflowTemplate.register({"1": {"class_type": "A", "inputs": {}}}, schema, None)
    found = problems(template, {"prompt": "a secret fox"})
    assert [path for path, _ in found] == ["inputs.prompt", "inputs"]
    assert "fox" not in str(found)


def test_an_invalid_required_input_is_not_reported_as_missing() -> None:
    """An invalid input has one problem, not two."""
    assert len(problems(workflow(required=("prompt",)), {"prompt": {"text": "a fox"}})) == 1


def test_the_message_for_an_unknown_name_lists_the_known_ones() -> None:
    """It lists the inputs of the workflow."""
    ((path, message),) = problems(workflow(), {"promt": "a fox"})
    assert path == "inputs.promt"
    assert "cfg, prompt, steps, upscale" in message


def test_a_workflow_without_a_schema_accepts_no_inputs() -> None:
    """Any input is unknown."""
    template = WorkflowTemplate.register({"1": {"class_type": "A", "inputs": {}}}, None, None)
    assert resolve(template, {}).merged == {}
    assert [path for path, _ in problems(template, {"a": 1})] == ["inputs.a"]


def test_the_number_of_problems_is_limited() -> None:
    """A hundred problems are listed, and the number of the others."""
    found = problems(workflow(), {f"a{i}": 1 for i in range(100_000)})
    assert len(found) == 101
    assert "99900" in found[-1][1]


@pytest.mark.parametrize("value", [[], ["4", 0], {}, {"a": 1}, float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("where", ["inputs", "params"])
def test_only_scalars_are_accepted(where: str, value: object) -> None:
    """Lists, objects, infinities and NaN are rejected, even if the schema allows them."""
    template = workflow({"any": {}}, {"free": None})
    sent = ({"any": value}, {}) if where == "inputs" else ({}, {"free": value})
    name = "any" if where == "inputs" else "free"
    assert [path for path, _ in problems(template, *sent)] == [f"{where}.{name}"]


@pytest.mark.parametrize("value", [True, False, "30", 30.5, None])
def test_other_types_are_not_integers(value: object) -> None:
    """Booleans, text, fractions and null are rejected for an integer."""
    assert [path for path, _ in problems(workflow(), {"steps": value})] == ["inputs.steps"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("denoise", True), ("denoise", "1"), ("tiled", 1), ("tiled", "true"), ("checkpoint", 1), ("checkpoint", None)],
)
def test_a_parameter_must_have_the_type_of_its_default(name: str, value: object) -> None:
    """A parameter has no schema; its default determines its type."""
    assert [path for path, _ in problems(workflow(params=PARAMS), {}, {name: value})] == [f"params.{name}"]


@pytest.mark.parametrize("value", [2**64, -(2**64), 10**400])
def test_integers_are_limited(value: int) -> None:
    """Neither ComfyUI nor the table can represent more than 64 bits."""
    assert [path for path, _ in problems(workflow({"seed": {"type": "integer"}}), {"seed": value})] == ["inputs.seed"]


def test_strings_are_limited() -> None:
    """A string at the maximum length is accepted; one more character is rejected."""
    template = workflow({"prompt": {"type": "string"}})
    longest = "x" * MAX_INPUT_CHARACTERS
    assert resolve(template, {"prompt": longest}).inputs["prompt"] == longest
    assert [path for path, _ in problems(template, {"prompt": longest + "x"})] == ["inputs.prompt"]


def test_the_total_size_of_all_values_is_limited() -> None:
    """They must fit into the job's record; the limit counts bytes, not characters."""
    template = workflow({name: {"type": "string"} for name in "abc"})
    assert resolve(template, dict.fromkeys("ab", "x" * 100_000))
    assert [path for path, _ in problems(template, dict.fromkeys("abc", "x" * 100_000))] == ["inputs"]
    assert [path for path, _ in problems(template, {"a": "🦊" * 70_000})] == ["inputs"]


@pytest.mark.parametrize(
    ("name", "value", "maximum"),
    [
        ("width", 2049, 2048),
        ("height", 2048.5, 2048),
        ("batch_size", 9, 8),
        ("width", "4096", 2048),
        ("height", " 1e5 ", 2048),
        ("width", "4_096", 2048),
        ("batch_size", "9" * 400, 8),
    ],
)
@pytest.mark.parametrize("schema", [{}, {"maximum": 10**9}, {"type": ["integer", "number", "string"]}])
def test_image_and_batch_sizes_are_limited(name: str, value: object, maximum: int, schema: dict[str, Any]) -> None:
    """The gateway's maximum applies whatever the schema allows, also to numbers as text, which ComfyUI converts."""
    ((path, message),) = problems(workflow({name: schema}), {name: value})
    assert path == f"inputs.{name}"
    assert str(maximum) in message


def test_size_limits_apply_to_defaults_and_parameters() -> None:
    """The maximum applies to the schema's default, to default parameters and to sent parameters."""
    assert [path for path, _ in problems(workflow({"width": {"default": 4096}}), {})] == ["inputs.width"]
    assert [path for path, _ in problems(workflow({}, {"width": 4096}), {})] == ["inputs.width"]
    assert [path for path, _ in problems(workflow({}, {"width": 512}), {}, {"width": 4096})] == ["inputs.width"]


@pytest.mark.parametrize("value", ["wide", "", "nan", None, 2048, "2048", True])
def test_sizes_within_the_limit_are_accepted(value: object) -> None:
    """The maximum itself is accepted; only the schema checks values that are not numbers."""
    assert resolve(workflow({"width": {}}), {"width": value}).inputs["width"] == value


def seeds(field: object, count: int = 200) -> set[int]:
    """Draw so many random seeds with this schema of the seed."""
    drawn = set()
    for _ in range(count):
        values = resolve(workflow({"seed": field}), {"seed": -1})
        assert values.seed == values.inputs["seed"]
        drawn.add(values.inputs["seed"])
    return drawn


def test_a_seed_of_minus_one_is_drawn_and_recorded() -> None:
    """-1 becomes a different random seed each time, small enough to be exact in every JSON client."""
    drawn = seeds({"type": "integer", "default": -1})
    assert len(drawn) == 200
    assert min(drawn) >= 0
    assert max(drawn) <= MAX_SEED
    assert max(drawn) > 2**48


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ({"type": "integer", "maximum": 3}, {0, 1, 2, 3}),
        ({"type": "integer", "minimum": -1, "maximum": 1.5}, {0, 1}),
        ({"type": "integer", "minimum": 7, "maximum": 8}, {7, 8}),
        ({"type": "integer", "minimum": 0, "maximum": 0}, {0}),
    ],
    ids=str,
)
def test_a_seed_is_drawn_within_the_schema(field: dict[str, Any], expected: set[int]) -> None:
    """Every seed within the limits is drawn, and no other; the schema need not allow -1 itself."""
    assert seeds(field) == expected


def test_a_default_seed_is_drawn_as_well() -> None:
    """A default of -1 means random too, for an input and for a parameter."""
    assert resolve(workflow({"seed": {"default": -1}}), {}).seed != -1
    values = resolve(workflow({}, {"seed": -1}), {})
    assert values.params["seed"] == values.seed
    assert values.seed is not None
    assert values.seed >= 0


def test_a_seed_whose_schema_is_true_is_drawn() -> None:
    """`true` is a valid schema without limits."""
    field: object = True
    assert min(seeds(field, count=3)) >= 0


@pytest.mark.parametrize("seed", [0, 42, 2**64 - 1])
def test_a_given_seed_is_not_changed(seed: int) -> None:
    """Any seed but -1 is used and recorded unchanged."""
    values = resolve(workflow({"seed": {"type": "integer"}}), {"seed": seed})
    assert (values.seed, values.inputs["seed"]) == (seed, seed)


def test_limits_that_allow_no_random_seed_are_reported() -> None:
    """A schema that accepts only negative seeds rejects the random one like any other."""
    template = workflow({"seed": {"type": "integer", "minimum": -5, "maximum": -1}})
    assert [path for path, _ in problems(template, {"seed": -1})] == ["inputs.seed"]


@pytest.mark.parametrize("seed", ["-1", True, None, 1e300])
def test_an_invalid_seed_is_not_recorded(seed: object) -> None:
    """Only a 64-bit integer is recorded as the job's seed."""
    assert resolve(workflow({"seed": {}}), {"seed": seed}).seed is None


def test_a_default_of_the_schema_overrides_default_params() -> None:
    """`defaultParams` applies only where the schema has no default."""
    template = workflow(
        {"steps": {"type": "integer", "default": 30}, "cfg": {"type": "number"}}, {"steps": 5, "cfg": 7}
    )
    assert resolve(template, {}).inputs == {"steps": 30, "cfg": 7}
