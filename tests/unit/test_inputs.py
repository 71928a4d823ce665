"""Behaviour of inputs: from what a caller sends to the values that a prompt is filled with."""

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
    """Make a workflow of these inputs and parameters; its graph is of no interest."""
    schema = {"properties": PROPERTIES if properties is None else properties, "required": list(required)}
    return WorkflowTemplate.register({"1": {"class_type": "A", "inputs": {}}}, schema, params)


def resolve(template: WorkflowTemplate, given: dict[str, Any], params: dict[str, Any] | None = None) -> Values:
    """Check and complete what a caller sent."""
    return template.values(given, params or {}, LIMITS)


def problems(
    template: WorkflowTemplate, given: dict[str, Any], params: dict[str, Any] | None = None
) -> list[tuple[str, str]]:
    """List what is wrong with what a caller sent: path and message."""
    with pytest.raises(RequestInvalidError) as caught:
        resolve(template, given, params)
    return [(problem.path, problem.message) for problem in caught.value.problems]


def test_defaults_are_filled_in() -> None:
    """What is not sent comes from the schema, and from defaultParams where the schema has no default."""
    values = resolve(workflow(params=PARAMS), {"prompt": "a fox"})
    assert values.inputs == {"prompt": "a fox", "steps": 30, "cfg": 7.0, "upscale": False}
    assert values.params == {"checkpoint": "base.safetensors", "denoise": 1, "tiled": True, "vae": None}
    assert values.merged == {**values.params, **values.inputs}
    assert values.seed is None


def test_params_override_default_params() -> None:
    """A parameter takes the place of its default."""
    values = resolve(workflow(params=PARAMS), {}, {"checkpoint": "other.safetensors", "denoise": 0.5, "vae": "x"})
    assert values.params == {"checkpoint": "other.safetensors", "denoise": 0.5, "tiled": True, "vae": "x"}


def test_an_input_may_be_sent_as_a_parameter() -> None:
    """A name of the schema is good in params too; sent in both, the input wins."""
    assert resolve(workflow(), {}, {"steps": 5}).inputs["steps"] == 5
    assert resolve(workflow(), {"steps": 7}, {"steps": 5}).inputs["steps"] == 7


def test_an_input_sent_as_a_parameter_is_checked() -> None:
    """The schema holds for it as for any input."""
    assert [path for path, _ in problems(workflow(), {}, {"steps": 500})] == ["inputs.steps"]


def test_all_problems_are_listed_at_once() -> None:
    """Missing, wrong, unknown, unfit and too large ones come in one answer."""
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
    """Whatever rule it breaks, what was sent is the caller's alone: messages end up in places that keep them."""
    schema = {
        "properties": {"prompt": rule},
        "$defs": {"number": {"type": "number"}},
        "not": {"required": ["prompt"]},
    }
    template = WorkflowTemplate.register({"1": {"class_type": "A", "inputs": {}}}, schema, None)
    found = problems(template, {"prompt": "a secret fox"})
    assert [path for path, _ in found] == ["inputs.prompt", "inputs"]
    assert "fox" not in str(found)


def test_a_required_input_that_is_unfit_is_not_called_missing() -> None:
    """Each wrong input has the one problem that it has."""
    assert len(problems(workflow(required=("prompt",)), {"prompt": {"text": "a fox"}})) == 1


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    """The message helps: it lists what the workflow takes."""
    ((path, message),) = problems(workflow(), {"promt": "a fox"})
    assert path == "inputs.promt"
    assert "cfg, prompt, steps, upscale" in message


def test_a_workflow_without_inputs_takes_none() -> None:
    """Without a schema nothing may be sent."""
    template = WorkflowTemplate.register({"1": {"class_type": "A", "inputs": {}}}, None, None)
    assert resolve(template, {}).merged == {}
    assert [path for path, _ in problems(template, {"a": 1})] == ["inputs.a"]


def test_many_unknown_names_make_a_short_answer() -> None:
    """A hundred problems are listed, and how many more there are."""
    found = problems(workflow(), {f"a{i}": 1 for i in range(100_000)})
    assert len(found) == 101
    assert "99900" in found[-1][1]


@pytest.mark.parametrize("value", [[], ["4", 0], {}, {"a": 1}, float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("where", ["inputs", "params"])
def test_only_scalars_are_values(where: str, value: object) -> None:
    """Lists, objects and what JSON has no number for are refused, even where the schema would take them."""
    template = workflow({"any": {}}, {"free": None})
    sent = ({"any": value}, {}) if where == "inputs" else ({}, {"free": value})
    name = "any" if where == "inputs" else "free"
    assert problems(template, *sent) == [(f"{where}.{name}", "Must be a string, a number, a boolean or null.")]


@pytest.mark.parametrize("value", [True, False, "30", 30.5, None])
def test_an_integer_is_an_integer(value: object) -> None:
    """Booleans and text are not numbers."""
    assert [path for path, _ in problems(workflow(), {"steps": value})] == ["inputs.steps"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("denoise", True), ("denoise", "1"), ("tiled", 1), ("tiled", "true"), ("checkpoint", 1), ("checkpoint", None)],
)
def test_a_parameter_keeps_its_defaults_type(name: str, value: object) -> None:
    """A parameter has no schema: its default says of which type it is."""
    assert [path for path, _ in problems(workflow(params=PARAMS), {}, {name: value})] == [f"params.{name}"]


@pytest.mark.parametrize("value", [2**64, -(2**64), 10**400])
def test_integers_are_bounded(value: int) -> None:
    """Beyond 64 bits neither ComfyUI nor the table could take them."""
    assert [path for path, _ in problems(workflow({"seed": {"type": "integer"}}), {"seed": value})] == ["inputs.seed"]


def test_strings_are_bounded() -> None:
    """One string may be long, but not endless."""
    template = workflow({"prompt": {"type": "string"}})
    longest = "x" * MAX_INPUT_CHARACTERS
    assert resolve(template, {"prompt": longest}).inputs["prompt"] == longest
    assert [path for path, _ in problems(template, {"prompt": longest + "x"})] == ["inputs.prompt"]


def test_all_values_together_are_bounded() -> None:
    """The job's record has to hold them, in bytes, not in characters."""
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
def test_sizes_are_bounded_whatever_the_schema_says(
    name: str, value: object, maximum: int, schema: dict[str, Any]
) -> None:
    """The gateway's own maximum holds, also for numbers written as text, which ComfyUI converts."""
    assert problems(workflow({name: schema}), {name: value}) == [
        (f"inputs.{name}", f"More than this gateway's maximum of {maximum}.")
    ]


def test_sizes_are_bounded_wherever_they_come_from() -> None:
    """A default of the schema, one of the workflow's parameters and a sent parameter are held to the maximum too."""
    assert [path for path, _ in problems(workflow({"width": {"default": 4096}}), {})] == ["inputs.width"]
    assert [path for path, _ in problems(workflow({}, {"width": 4096}), {})] == ["inputs.width"]
    assert [path for path, _ in problems(workflow({}, {"width": 512}), {}, {"width": 4096})] == ["inputs.width"]


@pytest.mark.parametrize("value", ["wide", "", "nan", None, 2048, "2048", True])
def test_what_is_within_the_bounds_passes(value: object) -> None:
    """The maximum itself is good, and what is no number is the schema's business alone."""
    assert resolve(workflow({"width": {}}), {"width": value}).inputs["width"] == value


def seeds(field: object, count: int = 200) -> set[int]:
    """Draw so many seeds by this schema of the seed."""
    drawn = set()
    for _ in range(count):
        values = resolve(workflow({"seed": field}), {"seed": -1})
        assert values.seed == values.inputs["seed"]
        drawn.add(values.inputs["seed"])
    return drawn


def test_a_seed_of_minus_one_is_drawn_and_recorded() -> None:
    """-1 becomes a random seed that every JSON client keeps exact, and no two are alike."""
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
    """Every seed that the bounds allow is drawn, and no other; -1 itself need not be allowed."""
    assert seeds(field) == expected


def test_a_default_seed_is_drawn_as_well() -> None:
    """A default of -1 means random too, be it an input's or a parameter's."""
    assert resolve(workflow({"seed": {"default": -1}}), {}).seed != -1
    values = resolve(workflow({}, {"seed": -1}), {})
    assert values.params["seed"] == values.seed
    assert values.seed is not None
    assert values.seed >= 0


def test_a_seed_without_a_schema_of_its_own_is_drawn() -> None:
    """`true` is a schema too."""
    field: object = True
    assert min(seeds(field, count=3)) >= 0


@pytest.mark.parametrize("seed", [0, 42, 2**64 - 1])
def test_a_given_seed_is_kept(seed: int) -> None:
    """Any other seed is run, and recorded, as it came."""
    values = resolve(workflow({"seed": {"type": "integer"}}), {"seed": seed})
    assert (values.seed, values.inputs["seed"]) == (seed, seed)


def test_bounds_that_allow_no_seed_are_reported() -> None:
    """A schema that takes only negative seeds refuses the random one like any other."""
    template = workflow({"seed": {"type": "integer", "minimum": -5, "maximum": -1}})
    assert [path for path, _ in problems(template, {"seed": -1})] == ["inputs.seed"]


@pytest.mark.parametrize("seed", ["-1", True, None, 1e300])
def test_what_is_no_seed_is_not_recorded_as_one(seed: object) -> None:
    """Only a number that a seed can be is one."""
    assert resolve(workflow({"seed": {}}), {"seed": seed}).seed is None


def test_a_schemas_own_default_wins_over_default_params() -> None:
    """`defaultParams` fills in where the schema says nothing."""
    template = workflow(
        {"steps": {"type": "integer", "default": 30}, "cfg": {"type": "number"}}, {"steps": 5, "cfg": 7}
    )
    assert resolve(template, {}).inputs == {"steps": 30, "cfg": 7}
