"""The bundled templates and their schemas match each other, the specification, and ComfyUI's nodes.

`comfyui_nodes.json` is an excerpt of /object_info of ComfyUI 0.3.75 for its core nodes: each required input with its
type or its choices, and the outputs. A checkpoint is a STRING there, because its choices depend on the files of a host.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

NODES: dict[str, Any] = json.loads(Path(__file__).with_name("comfyui_nodes.json").read_text(encoding="utf-8"))
# width and height, steps, cfg
DEFAULTS = {
    "sdxl_realism_v1": (1024, 30, 7.0),
    "sprite_transparent_bg": (512, 25, 7.5),
    "icon_512": (512, 20, 6.0),
}
NAMES = sorted(DEFAULTS)
COMMON_INPUTS = {
    "prompt", "negative_prompt", "width", "height", "steps", "cfg", "sampler", "scheduler", "seed", "batch_size",
    "checkpoint",
}  # fmt: skip
JSON_TYPES = {"INT": {"integer"}, "FLOAT": {"integer", "number"}, "STRING": {"string"}, "BOOLEAN": {"boolean"}}
PYTHON_TYPES = {"INT": int, "FLOAT": int | float, "STRING": str, "BOOLEAN": bool}


def load(file: str) -> Any:  # noqa: ANN401  JSON
    """Read a file from the package data, as an installed gateway does."""
    return json.loads(resources.files("workflows").joinpath(file).read_text(encoding="utf-8"))


def validator(name: str) -> jsonschema_rs.Draft202012Validator:
    """Compile a workflow's schema with the options of the gateway."""
    return jsonschema_rs.Draft202012Validator(
        load(f"{name}.schema.json"), offline=True, pattern_options=jsonschema_rs.RegexOptions()
    )


def node_inputs(graph: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """List every input of every node: its path, its value, and the type that ComfyUI declares."""
    for node_id, node in graph.items():
        declared = NODES[node["class_type"]]["inputs"]
        for name, value in node["inputs"].items():
            yield f"{node_id}.{name}", value, declared[name]


def tokens(value: Any) -> list[str]:  # noqa: ANN401  JSON
    """List the tokens of an input's value."""
    return re.findall(r"\{\{(\w+)\}\}", value) if isinstance(value, str) else []


def test_every_template_has_its_schema() -> None:
    """The folder contains the three workflows, each with a schema, and no other JSON file."""
    files = sorted(file.name for file in resources.files("workflows").iterdir() if file.name.endswith(".json"))
    assert files == sorted(f"{name}{suffix}" for name in NAMES for suffix in (".json", ".schema.json"))


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_valid_and_described(name: str) -> None:
    """A schema is valid JSON Schema 2020-12 and closed, requires only a prompt, and describes every input."""
    schema = load(f"{name}.schema.json")
    jsonschema_rs.meta.validate(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"]
    assert schema["description"]
    assert schema["type"] == "object"
    assert schema["required"] == ["prompt"]
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) >= COMMON_INPUTS
    for input_name, field in schema["properties"].items():
        assert field["description"], input_name
        assert ("default" in field) == (input_name != "prompt"), input_name


@pytest.mark.parametrize("name", NAMES)
def test_defaults_match_the_specification(name: str) -> None:
    """A prompt and the defaults pass the schema, and the defaults are the documented ones."""
    properties = load(f"{name}.schema.json")["properties"]
    defaults = {input_name: field["default"] for input_name, field in properties.items() if "default" in field}
    validator(name).validate({"prompt": "a fox", **defaults})
    size, steps, cfg = DEFAULTS[name]
    assert (defaults["width"], defaults["height"], defaults["steps"], defaults["cfg"]) == (size, size, steps, cfg)
    assert (defaults["seed"], defaults["batch_size"]) == (-1, 1)
    assert defaults["checkpoint"] == "sd_xl_base_1.0.safetensors"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "inputs",
    [
        {"seed": 2**53 - 1},
        {"seed": 0},
        {"width": 64, "height": 2048},
        {"batch_size": 8},
        {"checkpoint": "SDXL/juggernaut (v9) + fix.safetensors"},
    ],
    ids=str,
)
def test_limits_are_inclusive(name: str, inputs: dict[str, Any]) -> None:
    """A value that equals its limit is accepted."""
    validator(name).validate({"prompt": "a fox", **inputs})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "inputs",
    [
        {"prompt": ""},
        {"prompt": " \n"},
        {"prompt": "x" * 2001},
        {"width": 56},
        {"height": 2056},
        {"width": 100},
        {"steps": 0},
        {"cfg": 0},
        {"seed": -2},
        {"seed": 2**53},
        {"seed": "7"},
        {"batch_size": 9},
        {"sampler": "Euler"},
        {"scheduler": "none"},
        {"checkpoint": "../secret.safetensors"},
        {"checkpoint": "a/../../secret.safetensors"},
        {"checkpoint": "/etc/passwd.safetensors"},
        {"checkpoint": "a\\..\\b.safetensors"},
        {"checkpoint": ".hidden.safetensors"},
        {"checkpoint": "model.safetensors\n"},
        {"checkpoint": "model.exe"},
        {"with": 512},
    ],
    ids=lambda inputs: str(inputs)[:60],
)
def test_invalid_inputs_are_rejected(name: str, inputs: dict[str, Any]) -> None:
    """Values beyond a limit, paths outside the checkpoint folder and unknown inputs are rejected."""
    assert not validator(name).is_valid({"prompt": "a fox", **inputs})


@pytest.mark.parametrize("name", NAMES)
def test_tokens_and_inputs_match(name: str) -> None:
    """Every token is an input of the schema, and every input has an effect on the graph."""
    graph = load(f"{name}.json")
    used = {token for _, value, _ in node_inputs(graph) for token in tokens(value)}
    assert used == set(load(f"{name}.schema.json")["properties"])


@pytest.mark.parametrize("name", NAMES)
def test_nodes_have_the_inputs_that_comfyui_requires(name: str) -> None:
    """Each node is a core node and has all the inputs that it requires, and no others."""
    for node_id, node in load(f"{name}.json").items():
        assert node["inputs"].keys() == NODES[node["class_type"]]["inputs"].keys(), node_id


@pytest.mark.parametrize("name", NAMES)
def test_links_carry_the_right_type(name: str) -> None:
    """A link refers to an existing output of the type that the input requires."""
    graph = load(f"{name}.json")
    for where, value, declared in node_inputs(graph):
        if isinstance(value, list):
            source, output = value
            assert NODES[graph[source]["class_type"]]["outputs"][output] == declared, where


@pytest.mark.parametrize("name", NAMES)
def test_values_have_the_type_that_comfyui_requires(name: str) -> None:
    """A literal, and every value of a token, has the input's type or is one of its choices."""
    properties = load(f"{name}.schema.json")["properties"]
    for where, value, declared in node_inputs(load(f"{name}.json")):
        if isinstance(value, list):
            continue
        names = tokens(value)
        if value in (f"{{{{{token}}}}}" for token in names):
            field = properties[names[0]]
            if isinstance(declared, list):
                assert set(field["enum"]) <= set(declared), where
            else:
                assert field["type"] in JSON_TYPES[declared], where
        elif isinstance(declared, list):
            assert value in declared, where
        else:
            assert isinstance(value, PYTHON_TYPES[declared]), where


def test_sprite_is_saved_with_its_transparency() -> None:
    """The sprite workflow saves the image with the alpha channel."""
    graph = load("sprite_transparent_bg.json")
    saved = [node["inputs"]["images"][0] for node in graph.values() if node["class_type"] == "SaveImage"]
    assert [graph[source]["class_type"] for source in saved] == ["JoinImageWithAlpha"]
