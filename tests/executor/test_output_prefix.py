"""Prefixes of files that a prompt saves: whatever they say, the files stay in the attempt's folder."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

import pytest

from executor.job.output_prefix import with_attempt_prefix
from testing.prompts import image_prompt
from tests.use_cases.environment import Environment

if TYPE_CHECKING:
    from comfyui_simulator.server import SimulatorServer
    from testing.executor_harness import InMemoryExecutorHarness

OUTSIDE = [
    "../../x",
    "a/../../b/../../x",
    "..",
    "../..",
    "/etc/x",
    "\\..\\x",
    "..\\..\\x",
    "a/.. /.. /x",
    "./x",
    "",
    "/",
    ".",
]


def prefixed(prompt: dict[str, Any]) -> str:
    """Return the prefix of node 2 in a prompt as an executor submits it, without the folder of the attempt."""
    job = Environment().job()
    inputs = with_attempt_prefix(prompt, job)["2"]["inputs"]
    folder, _, name = next(value for value in inputs.values() if isinstance(value, str)).partition(f"-{job.attempt}/")
    assert folder == f"gateway/{job.id}"
    return name


@pytest.mark.parametrize("prefix", OUTSIDE)
def test_a_prefix_cannot_leave_the_folder_of_its_attempt(prefix: str) -> None:
    """Neither where a slash separates folders nor where a backslash does."""
    for text in (prefix, f"%year%/{prefix}", f"ok/{prefix}"):
        name = prefixed(image_prompt(prefix=text))
        assert name
        assert posixpath.normpath(f"folder/{name}").startswith("folder/")
        assert "\\" not in name
        assert not {".", "..", ""} & set(name.split("/"))


@pytest.mark.parametrize("prefix", ["a", "a/b", "%date:yyyy-MM-dd%/a b", "..a", "a..b", ".hidden", "füchse 🦊"])
def test_other_prefixes_stay_as_they_are(prefix: str) -> None:
    """Folders in a prefix are folders within the attempt's."""
    assert prefixed(image_prompt(prefix=prefix)) == prefix


def test_a_long_name_is_shortened() -> None:
    """A file system takes 255 bytes, and ComfyUI adds a number and an ending."""
    name = prefixed(image_prompt(prefix=f"{'ä' * 500}/{'b' * 500}"))
    assert [len(part.encode()) for part in name.split("/")] == [200, 200]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ({"class_type": "PrimitiveString", "inputs": {"value": "../../x"}}, "x"),
        (
            {"class_type": "StringConcatenate", "inputs": {"string_a": "..", "string_b": "x", "delimiter": "/"}},
            "output",
        ),
        ({"class_type": "Reroute", "inputs": {"any": ["4", 0]}}, "output"),
    ],
)
def test_a_prefix_from_another_node(source: dict[str, Any], name: str) -> None:
    """The text of a node that only holds one; what a node computes is not known here, so a fixed name stands for it."""
    prompt = image_prompt(prefix="x") | {"3": source, "4": source}
    prompt["2"]["inputs"]["filename_prefix"] = ["3", 0]
    assert prefixed(prompt) == name


@pytest.mark.parametrize("prefix", [["../../x"], {"__value__": "../../x"}, None, 7])
def test_a_prefix_that_is_no_text(prefix: object) -> None:
    """ComfyUI would make a text of it."""
    prompt = image_prompt(prefix="x")
    prompt["2"]["inputs"]["filename_prefix"] = prefix
    assert prefixed(prompt) == ("7" if prefix == 7 else "output")


def test_the_prefix_of_a_node_that_names_it_otherwise() -> None:
    """SaveLoRA calls it `prefix`; in other nodes, that is any text."""
    lora = {"2": {"class_type": "SaveLoRA", "inputs": {"lora": ["1", 0], "prefix": "../x"}}}
    assert prefixed(lora) == "x"
    text = {"2": {"class_type": "Text", "inputs": {"prefix": "../x"}}}
    assert with_attempt_prefix(text, Environment().job()) == text


@pytest.mark.parametrize("prefix", ["../../x", "a/../../x", "..", ""])
def test_files_are_saved_and_stored(harness: InMemoryExecutorHarness, simulator: SimulatorServer, prefix: str) -> None:
    """The file that such a prefix leads to is the job's output."""
    job = harness.run(simulator.url, image_prompt(prefix=prefix))
    name = "x" if prefix.endswith("x") else "output"
    assert [output.filename for output in job.outputs or ()] == [f"{name}_00001_.png"]
