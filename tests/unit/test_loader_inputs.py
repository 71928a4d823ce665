"""Inputs that name files on ComfyUI's host: which ones there are, and what callers may write into them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.workflow import WorkflowTemplate
from gateway.errors import Problem, RequestInvalidError

FREE: dict[str, Any] = {"type": "string"}
LISTED: dict[str, Any] = {"enum": ["a.png", "b.png"]}
OUTSIDE = [
    "/etc/x.png", "../../x.png", "a/../../b.png", "..", "C:/x.png", "c:x.png", "\\\\host\\x.png", "..\\x.png",
    "a\\b.png", "x.png\0", "gateway/1-1/x_00001_.png [output]", "x.png[temp]", "x.png [input]", "x.png [OUTPUT]",
    " /etc/x.png", '"/etc/x.png"', "~/x.png", "file:///etc/x.png", "[output]",
]  # fmt: skip


def graph(class_type: str, **inputs: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    """Make a graph of one loader and a node that saves."""
    return {
        "1": {"class_type": class_type, "inputs": inputs},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }


def linked(*texts: dict[str, Any]) -> dict[str, Any]:
    """Make a graph whose loader gets its name from node `t0`."""
    return {**graph("LoadImage", image=["t0", 0]), **{f"t{number}": text for number, text in enumerate(texts)}}


def problems(nodes: dict[str, Any], field: object = None, **params: str) -> list[Problem]:
    """Register a workflow with the input `x`, or with parameters; return its problems."""
    schema = {"properties": {"x": FREE if field is None else field}} if not params else None
    try:
        WorkflowTemplate.register(nodes, schema, params or None)
    except RequestInvalidError as error:
        return list(error.problems)
    return []


def older(nodes: dict[str, Any], default_params: dict[str, Any] | None = None, **fields: Any) -> WorkflowTemplate:  # noqa: ANN401  JSON
    """Make a template as it was stored before loader inputs were checked."""
    return WorkflowTemplate(nodes, {"type": "object", "properties": fields}, default_params or {})


def refused(template: WorkflowTemplate, inputs: dict[str, Any], params: dict[str, Any] | None = None) -> list[str]:
    """Render a prompt; return the paths of the problems."""
    try:
        template.render(template.values(inputs, params or {}, None))
    except RequestInvalidError as error:
        return [problem.path for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("class_type", "name"),
    [
        ("LoadImage", "image"), ("LoadImageMask", "image"), ("LoadImageOutput", "image"), ("LoadAudio", "audio"),
        ("LoadVideo", "file"), ("Load3D", "model_file"), ("Load3DAnimation", "model_file"), ("LoadLatent", "latent"),
        ("LoadImageSetFromFolderNode", "folder"), ("LoadImageDataSetFromFolder", "folder"),
        ("LoadTrainingDataset", "folder_name"), ("VHS_LoadVideo", "video"), ("VHS_LoadVideoPath", "video"),
        ("VHS_LoadAudioUpload", "audio"), ("VHS_LoadAudio", "audio_file"), ("VHS_LoadImagesPath", "directory"),
        ("WebcamCapture", "image"), ("RecordAudio", "audio"), ("OpenAIInputFiles", "file"),
        ("Unknown", "path"), ("Unknown", "maskPath"), ("Unknown", "FILE"), ("Unknown", "output_dir"),
        ("Unknown", "Directory"), ("Unknown", "src_folder"), ("Unknown", "file_paths"),
        ("Image Load", "image"), ("LoadAnything", "filename"),
    ],
)  # fmt: skip
def test_a_free_text_cannot_name_a_file(class_type: str, name: str) -> None:
    """The problem has the node, the class and the input, and says what to do; a list of values is accepted."""
    (problem,) = problems(graph(class_type, **{name: "{{x}}"}))
    assert problem.path == f"workflowJson.1.inputs.{name}"
    assert f"{class_type}.{name}" in problem.message
    assert "enum" in problem.message
    assert problems(graph(class_type, **{name: "{{x}}"}), LISTED) == []
    assert problems(graph(class_type, **{name: "a.png"})) == []


@pytest.mark.parametrize(
    ("class_type", "inputs"),
    [
        ("CLIPTextEncode", {"text": "{{x}}"}),
        ("SaveImage", {"filename_prefix": "{{x}}", "images": ["2", 0]}),
        ("CheckpointLoaderSimple", {"ckpt_name": "{{x}}"}),
        ("ETN_LoadImageBase64", {"image": "{{x}}"}),
        ("Preview3D", {"model_file": "{{x}}"}),
        ("LoadImage", {"image": "a.png", "note": "{{x}}"}),
    ],
)
def test_other_inputs_take_any_text(class_type: str, inputs: dict[str, Any]) -> None:
    """Texts, prefixes, names of models, which ComfyUI checks itself, and images as base64 are free."""
    assert problems(graph(class_type, **inputs)) == []


@pytest.mark.parametrize(
    "value",
    ["{{x}}.png", "sub/{{ x }}", "{{x}} [output]", ["{{x}}"], {"__value__": ["{{x}}"]}, {"image": "{{x}}"}],
)
def test_a_part_of_a_name_is_no_free_text_either(value: object) -> None:
    """Tokens in longer texts, in lists and in objects name files, too."""
    assert [problem.path for problem in problems(graph("Load3D", image=value))] == ["workflowJson.1.inputs.image"]


@pytest.mark.parametrize(
    "nodes",
    [
        linked({"class_type": "PrimitiveString", "inputs": {"value": "{{x}}"}}),
        linked(
            {"class_type": "StringConcatenate", "inputs": {"string_a": "a/", "string_b": ["t1", 0], "delimiter": ""}},
            {"class_type": "Some Switch", "inputs": {"any_1": ["t2", 0], "index": 1}},
            {"class_type": "PrimitiveStringMultiline", "inputs": {"value": "{{x}}"}},
        ),
        linked({"class_type": "Loop", "inputs": {"again": ["t0", 0], "text": "{{x}}"}}),
    ],
)
def test_links_are_followed(nodes: dict[str, Any]) -> None:
    """A text that reaches a loader through other nodes names a file; the problem says where the token is."""
    (problem,) = problems(nodes)
    assert problem.path.startswith("workflowJson.t")
    assert "LoadImage.image" in problem.message
    assert problems(nodes, LISTED) == []


def test_a_prompt_behind_a_file_that_is_made_from_it_is_free() -> None:
    """What a sampler makes of a text is not the text."""
    nodes = {
        "1": {"class_type": "Uploader", "inputs": {"file": ["2", 0]}},
        "2": {"class_type": "SavesAndReturnsName", "inputs": {"images": ["3", 0]}},
        "3": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0]}},
        "4": {"class_type": "CLIPTextEncode", "inputs": {"text": "{{x}}"}},
    }
    assert problems(nodes) == []


@pytest.mark.parametrize(
    ("field", "accepted"),
    [
        (LISTED, True),
        ({"const": "a.png"}, True),
        ({"type": "boolean"}, True),
        ({"$ref": "#/properties/y"}, True),
        ({"anyOf": [LISTED, {"type": "null"}]}, True),
        ({"allOf": [FREE, LISTED]}, True),
        ({"anyOf": [LISTED, FREE]}, False),
        ({"oneOf": [LISTED, FREE]}, False),
        ({"type": "integer"}, False),
        ({"type": "string", "pattern": "^[a-z]+$"}, False),
        ({"not": LISTED}, False),
        ({"examples": ["a.png"], "default": "a.png"}, False),
        (True, False),
    ],
)
def test_the_schema_must_list_the_values(field: object, accepted: bool) -> None:  # noqa: FBT001  a parameter of cases
    """Listed in any way of JSON Schema; a list that other values get around is none."""
    schema = {"properties": {"x": field, "y": LISTED}}
    try:
        WorkflowTemplate.register(graph("LoadImage", image="{{x}}"), schema, None)
    except RequestInvalidError:
        assert not accepted
    else:
        assert accepted


def test_a_parameter_cannot_name_a_file() -> None:
    """Callers can override parameters, which have no schema; an input with a list may have its default there."""
    nodes = graph("LoadImage", image="{{x}}")
    assert len(problems(nodes, x="a.png")) == 1
    WorkflowTemplate.register(nodes, {"properties": {"x": LISTED}}, {"x": "a.png"})


@pytest.mark.parametrize("value", OUTSIDE)
def test_an_older_workflow_takes_no_file_outside(value: str) -> None:
    """Workflows with free texts were registered before that was refused: their values are checked."""
    nodes = graph("LoadImage", image="{{x}}")
    assert refused(older(nodes, x=FREE), {"x": value}) == ["inputs.x"]
    assert refused(older(nodes, x=FREE), {}, {"x": value}) == ["inputs.x"]
    assert refused(older(nodes, {"x": "a.png"}), {}, {"x": value}) == ["params.x"]
    by_link = linked({"class_type": "PrimitiveString", "inputs": {"value": "{{x}}"}})
    assert refused(older(by_link, x=FREE), {"x": value}) == ["inputs.x"]
    assert refused(older(graph("Any", mask_path="{{x}}"), x=FREE), {"x": value}) == ["inputs.x"]


@pytest.mark.parametrize("value", ["a.png", "sub/a b (1).png", "foto-ä.jpg", "", "[a].png", 7, True, None])
def test_an_older_workflow_takes_names_inside(value: object) -> None:
    """Names, also in subfolders, are as good as before."""
    assert refused(older(graph("LoadImage", image="{{x}}"), x={}), {"x": value}) == []


@pytest.mark.parametrize(("first", "second"), [(".", "./x.png"), ("", "/x.png"), ("x.png [out", "put]"), ("C", ":x")])
def test_two_values_make_no_name_outside(first: str, second: str) -> None:
    """A name cannot be put together from parts that are harmless alone."""
    fields = {"x": FREE, "y": FREE}
    text = older(graph("LoadImage", image="{{x}}{{y}}"), **fields)
    joined = {"string_a": "{{x}}", "string_b": "{{y}}", "delimiter": ""}
    node = older(linked({"class_type": "StringConcatenate", "inputs": joined}), **fields)
    for template in (text, node):
        assert refused(template, {"x": first, "y": second}) != []


def test_values_of_the_author_are_not_checked() -> None:
    """The author of a workflow may load any file: in the graph, as a default, or in a list of values."""
    nodes = graph("LoadImage", image="{{x}}")
    path = "/data/reference.png"
    assert refused(older(nodes, x={**FREE, "default": path}), {}) == []
    assert refused(older(nodes, {"x": path}), {}) == []
    registered = WorkflowTemplate.register(nodes, {"properties": {"x": {"enum": [path]}}}, None)
    assert refused(registered, {"x": path}) == []
    assert problems(graph("LoadImage", image="x.png [output]")) == []


def test_many_loaders_are_checked_in_one_pass() -> None:
    """Each node is looked at once, however many loaders lead to it."""
    nodes = {f"l{n}": {"class_type": "LoadImage", "inputs": {"image": ["t0", 0]}} for n in range(900)}
    nodes |= {f"t{n}": {"class_type": "Text", "inputs": {"a": [f"t{n + 1}", 0], "b": "{{x}}"}} for n in range(900)}
    nodes["t900"] = {"class_type": "Text", "inputs": {"a": ["t0", 0]}}
    assert problems(nodes)[0].path.startswith("workflowJson.t")
