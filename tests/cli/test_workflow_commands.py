"""`workflows …` with a complete gateway."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.conftest import assert_refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

GRAPH: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 96, "batch_size": 1, "color": 7}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "one"}},
}
UI_EXPORT = {"last_node_id": 1, "nodes": [{"id": 1, "type": "KSampler"}], "links": [], "version": 0.4}


@pytest.fixture
def graph(home: Path) -> Path:
    """Write a graph in ComfyUI's API format; return its file."""
    file = home / "My Image.json"
    file.write_text(json.dumps(GRAPH))
    return file


def test_workflows_are_listed_and_shown(command: Callable[..., Result]) -> None:
    """The bundled workflows with their inputs; with --json as in the API."""
    assert "icon_512\t1\tIcon" in command("workflows", "list").stdout.splitlines()
    assert {"icon_512", "sdxl_realism_v1"} <= {
        w["id"] for w in json.loads(command("workflows", "list", "--json").stdout)["workflows"]
    }
    lines = command("workflows", "show", "icon_512").stdout.splitlines()
    assert [line for line in lines if line.startswith("input\tsteps\tinteger from 1 to 150\t20\t")]
    assert json.loads(command("workflows", "show", "icon_512", "--json").stdout)["workflowJson"]["5"]
    assert_refused(command("workflows", "show", "nope"), 5, "nope")


def test_a_graph_is_registered_run_and_removed(command: Callable[..., Result], graph: Path) -> None:
    """The proposal is printed, the id is derived from the file's name, and the printed command works."""
    added = command("workflows", "add", str(graph), "--yes")
    assert added.exit_code == 0, added.output
    assert "  width            1 (EmptyImage) width: 64" in added.stderr
    assert "No prompt was detected" in added.stderr
    assert added.stdout.splitlines()[-1] == "comfyui-gateway submit My_Image --wait"
    run = command("submit", "My_Image", "-i", "width=128", "-o", ".")
    assert run.exit_code == 0, run.output
    assert_refused(command("workflows", "add", str(graph), "--yes", "--json", "--id", "x y"), 2, "--id: ")
    assert_refused(command("workflows", "add", str(graph), "--id", "../x"), 2, "--id: ")
    assert_refused(command("workflows", "remove", "My_Image"), 2, "--yes")
    assert command("workflows", "remove", "My_Image", "--yes").exit_code == 0
    assert_refused(command("workflows", "remove", "My_Image", "--yes"), 5, "My_Image")


def test_a_proposal_is_written_for_review(command: Callable[..., Result], graph: Path, home: Path) -> None:
    """Without a terminal, graph and schema are written, and the printed command registers them.

    The exit code is 3, because nothing is registered: a script must not continue as if it were.
    """
    result = command("workflows", "add", str(graph), "--id", "reviewed", "--name", "For review")
    assert_last_line_is_error(result, 3, "reviewed is not registered")
    as_json = command("workflows", "add", str(graph), "--id", "as_json", "--json")
    assert_last_line_is_error(as_json, 3, "as_json is not registered")
    assert json.loads(as_json.stdout)["registered"] is False
    assert "reviewed" not in command("workflows", "list").stdout
    written = json.loads((home / "reviewed.workflow.json").read_text())
    assert written["1"]["inputs"]["width"] == "{{width}}"
    assert json.loads((home / "reviewed.schema.json").read_text())["properties"]["width"]["default"] == 64
    assert_last_line_is_error(command("workflows", "add", str(graph), "--id", "reviewed"), 3, "exists")
    arguments = (
        result.stdout.splitlines()[-1].removeprefix("comfyui-gateway ").replace("'For review'", "For_review").split()
    )
    assert command(*arguments).exit_code == 0
    assert_refused(command(*arguments), 3, "already exists")
    replaced = json.loads(command(*arguments, "--replace", "--json").stdout)
    assert (replaced["version"], replaced["name"]) == (2, "For_review")
    assert command("workflows", "remove", "reviewed", "--yes", "--json").stdout == '{\n  "removed": "reviewed"\n}\n'


def assert_last_line_is_error(result: Result, code: int, part: str) -> None:
    """Check the exit code and the last line of a command that also printed other output."""
    assert result.exit_code == code
    assert part in result.stderr.splitlines()[-1]


def test_a_ui_export_is_refused_with_advice(command: Callable[..., Result], home: Path) -> None:
    """The error has the menu item for the right export; no request is sent."""
    file = home / "ui.json"
    file.write_text(json.dumps(UI_EXPORT))
    assert_refused(command("workflows", "add", str(file)), 3, "UI format", "Export (API)")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "no nodes"),
        (b'{"1": {"inputs": {}}}', "class_type"),
        (b'{"prompt": 5}', "prompt: A node must be"),
        (b'{"prompt": {"1": {"class_type": "A", "inputs": {}}}, "client_id": "x"}', 'a graph in "prompt"'),
        (b'{"1": {"class_type": "A", "inputs": {"a": ["9", 0]}}}', "9"),
        (b'{"1": "' + b"x" * 1_100_000 + b'"}', "more than 1048576 bytes"),
    ],
    ids=["empty", "binary", "deep", "list", "no-nodes", "no-class", "no-node", "request", "dangling", "large"],
)
def test_an_invalid_graph_file_is_refused(
    command: Callable[..., Result], home: Path, content: bytes, part: str
) -> None:
    """In one line with the file's name."""
    file = home / "wrong.json"
    file.write_bytes(content)
    assert_refused(command("workflows", "add", str(file), "--yes"), 3, "wrong.json", part)


def test_a_missing_file_is_refused(command: Callable[..., Result]) -> None:
    """With exit code 5, as for other missing things."""
    assert_refused(command("workflows", "add", "nothing.json"), 5, "nothing.json")
