"""What a person sees in a terminal, and what a script gets without one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli import env_file
from tests.cli.terminal import COMMAND, SECONDS, Terminal, interrupted
from tests.webhooks.receiver import Receiver, answers, hangs
from tools.api_docs import examples

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    from tests.webhooks.receiver import Behaviour

COLOUR = re.compile(r"\x1b\[[0-9;]*[0-9]m")
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 96, "batch_size": 1, "color": 7}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "one"}},
}
SLOW = ("submit", "icon_512", "-i", "prompt=slowly", "-i", "steps=150", "--wait")  # some seconds in the simulator


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run this checkout's code, wherever the command runs."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def lines(text: str) -> list[str]:
    """Split what a terminal got into lines, without colours."""
    return COLOUR.sub("", text).replace("\r\n", "\n").split("\n")


@pytest.mark.usefixtures("command")
def test_progress_is_a_bar_with_node_and_percent() -> None:
    """It moves in one line of at most 80 columns, and goes to what ended the job."""
    with Terminal(*SLOW) as terminal:
        terminal.see("Sample")
        terminal.see("%")
        assert terminal.end() == 0, terminal.text
        shown = [part for line in lines(terminal.text) for part in line.split("\r")]
        bars = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", part) for part in shown if "━" in part]
        assert bars
        assert max(map(len, bars)) <= 80
        assert "succeeded" in bars[-1]
        assert "100%" in bars[-1]
        assert COLOUR.search(terminal.text)


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize("arguments", [(*SLOW[:-1], "-o", "."), ("jobs",), ("doctor",), ("show-workflow", "icon_512")])
def test_there_are_no_colours_with_no_color(arguments: tuple[str, ...]) -> None:
    """Neither colours nor bold."""
    with Terminal(*arguments, NO_COLOR="1") as terminal:
        assert terminal.end() == 0, terminal.text
        assert not COLOUR.search(terminal.text), terminal.text


@pytest.mark.usefixtures("command")
def test_a_dumb_terminal_gets_lines() -> None:
    """Nothing moves where nothing can."""
    with Terminal("submit", "icon_512", "-i", "prompt=x", "-i", "steps=2", "--wait", TERM="dumb") as terminal:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.text
        assert "Succeeded." in terminal.text


def test_tables_fit_and_ids_stay_whole(command: Callable[..., Result]) -> None:
    """So that an id can be copied with two clicks."""
    job_id = command("submit", "icon_512", "-i", "prompt=x", "-i", "steps=2").stdout.strip()
    for arguments in (("jobs",), ("list-workflows",), ("show-workflow", "sprite_transparent_bg"), ("health",)):
        with Terminal(*arguments) as terminal:
            assert terminal.end() == 0
            assert max(map(len, lines(terminal.text))) <= 80, terminal.text
        if arguments == ("jobs",):
            assert f"{job_id} " in terminal.text
            assert "JOB " in terminal.text


def test_ctrl_c_ends_the_waiting_and_not_the_job(command: Callable[..., Result], tmp_path: Path) -> None:
    """It says so, and how to look or to stop it."""
    output = tmp_path / "output"
    process = interrupted("running", output, *SLOW)
    assert process.returncode == 130, output.read_text()
    job_id = output.read_text().splitlines()[0].removeprefix("Job ")
    last = output.read_text().splitlines()[-1]
    assert "the job goes on" in last
    assert f"comfyui-gateway job {job_id} --wait" in last
    assert f"comfyui-gateway cancel {job_id}" in last
    assert "Traceback" not in output.read_text()
    job = json.loads(command("job", job_id, "--wait", "--json").stdout)
    assert job["status"] == "succeeded"


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize("more", [(), ("--json",), ("-o", "a folder")])
def test_ctrl_c_as_soon_as_the_job_is_accepted(tmp_path: Path, more: tuple[str, ...]) -> None:
    """When nothing was shown yet but the job's id, it is told how to go on all the same."""
    output = tmp_path / "output"
    process = interrupted("Job ", output, *SLOW, *more)
    assert process.returncode == 130, output.read_text()
    job_id = output.read_text().splitlines()[0].removeprefix("Job ")
    last = output.read_text().splitlines()[-1]
    again = "-o 'a folder'" if "-o" in more else "--wait"
    assert last.startswith("comfyui-gateway: Stopped waiting; the job goes on")
    assert f"comfyui-gateway job {job_id} {again}. " in last


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("before", "message"),
    [
        ((), "Stopped."),
        (
            (answers(200, "Content-Type: application/json", body=json.dumps(examples.WORKFLOW).encode()),),
            "Stopped before there was an answer. See whether the job was accepted: comfyui-gateway jobs",
        ),
    ],
    ids=["reading-the-workflow", "posting-the-job"],
)
def test_ctrl_c_before_a_job_is_accepted(tmp_path: Path, before: tuple[Behaviour, ...], message: str) -> None:
    """While the workflow is asked for, nothing has begun; while the job is posted, nobody knows."""
    output = tmp_path / "output"
    with Receiver(*before, hangs()) as receiver:
        arguments = ("submit", "w", "-i", "color=1", "--url", f"http://127.0.0.1:{receiver.port}")
        process = interrupted(lambda _said: len(receiver.received) > len(before), output, *arguments)
    assert (process.returncode, output.read_text()) == (130, f"comfyui-gateway: {message}\n")


@pytest.mark.usefixtures("command")
def test_ctrl_c_in_a_terminal() -> None:
    """The same with the bar, and the cursor is back."""
    with Terminal(*SLOW) as terminal:
        terminal.see("running")
        terminal.type("\x03")
        assert terminal.end() == 130
        assert "the job goes on" in lines(terminal.text)[-2] + lines(terminal.text)[-3]
        assert terminal.text.rfind("\x1b[?25h") > terminal.text.rfind("\x1b[?25l")


def test_ctrl_c_while_a_log_is_followed(command: Callable[..., Result], tmp_path: Path) -> None:
    """It ends in one line."""
    output = tmp_path / "output"
    job_id = command(*SLOW[:-1]).stdout.strip()
    process = interrupted("Accepted.", output, "logs", "-f", job_id)
    assert process.returncode == 130
    assert output.read_text().splitlines()[-1] == "comfyui-gateway: Stopped."


def test_a_person_is_asked(home: Path) -> None:
    """A gateway in this folder, without a key, on another port by option."""
    with Terminal("init", "--port", "3055") as terminal:
        terminal.see("nothing to set one up in this folder")
        terminal.type("\n")
        terminal.see("Ask callers for an API key?")
        terminal.type("n\n")
        assert terminal.end() == 0, terminal.text
    assert (env_file.read(home / ".env") or {})["PORT"] == "3055"
    with Terminal("init") as terminal:
        terminal.see("nothing to set one up")
        terminal.type("http://gateway.example:8080\n")
        terminal.see("API key, or nothing")
        terminal.type("s3cret\n")
        terminal.see("Replace?")
        terminal.type("y\n")
        assert terminal.end() == 0, terminal.text
        assert "s3cret" not in terminal.text
    kept = env_file.read(home.parent / "config" / "comfyui-gateway" / "default.env")
    assert kept == {"COMFYUI_GATEWAY_URL": "http://gateway.example:8080", "COMFYUI_GATEWAY_API_KEY": "s3cret"}
    with Terminal("init") as terminal:
        terminal.see("nothing to set one up")
        terminal.type("\x03")
        assert terminal.end() == 130


def test_a_person_sees_a_proposal_before_it_is_registered(command: Callable[..., Result], home: Path) -> None:
    """And says yes or no."""
    (home / "seen.json").write_text(json.dumps(GRAPH))
    for answer, is_there in (("n\n", False), ("y\n", True)):
        with Terminal("add-workflow", "seen.json") as terminal:
            terminal.see("Register seen so?")
            assert "1 (EmptyImage) width" in terminal.text
            terminal.type(answer)
            assert terminal.end() == (0 if is_there else 3), terminal.text
        assert ("seen" in command("list-workflows").stdout) is is_there
    assert (home / "seen.schema.json").exists()
    with Terminal("remove-workflow", "seen") as terminal:
        terminal.see("Remove the workflow seen?")
        terminal.type("n\n")
        assert terminal.end() == 3
    assert command("remove-workflow", "seen", "--yes").exit_code == 0


@pytest.mark.usefixtures("command")
def test_a_reader_that_goes_away_is_no_fault() -> None:
    """As `head` does."""
    script = f"{' '.join(COMMAND)} show-workflow icon_512 --json | head -n 1"
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True, timeout=SECONDS)  # noqa: S603  ours
    assert (done.stdout, done.stderr) == ("{\n", "")


@pytest.mark.parametrize(("shell", "variable"), [("bash", "COMP_WORDS"), ("zsh", "_TYPER_COMPLETE_ARGS")])
def test_shells_complete_commands_and_options(home: Path, shell: str, variable: str) -> None:
    """By what Typer's completion asks the command."""
    del home

    def completed(words: str) -> str:
        environment = {
            **os.environ,
            "_COMFYUI_GATEWAY_COMPLETE": f"complete_{shell}",
            variable: words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        script = "from cli.main import app; app(prog_name='comfyui-gateway')"
        return subprocess.run(  # noqa: S603  ours
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=SECONDS
        ).stdout  # fmt: skip

    assert "submit" in completed("comfyui-gateway sub")
    assert "--callback-url" in completed("comfyui-gateway submit --call")
    assert "redrive" in completed("comfyui-gateway dead-letters red")


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["--help"], {"boto3", "requests", "pydantic_settings", "gateway.settings", "jsonschema_rs", "local"}),
        (["keys", "--help"], {"boto3", "requests", "jsonschema_rs", "local"}),
        (["jobs"], {"boto3", "jsonschema_rs", "local", "aws_lambda_powertools", "cli.gateway_checks"}),
    ],
)
def test_a_command_imports_what_it_needs(home: Path, arguments: list[str], unneeded: set[str]) -> None:
    """Commands are typed again and again, and boto3 alone takes half a second."""
    del home
    script = (
        "import json, sys\nfrom cli.main import app\n"
        f"try:\n    app({arguments!r})\nfinally:\n    print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(  # noqa: S603  ours
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=SECONDS
    )
    modules = set(json.loads(done.stderr.splitlines()[-1]))
    assert "cli.main" in modules
    assert modules & unneeded == set()


def test_nobody_is_asked_without_a_terminal(command: Callable[..., Result]) -> None:
    """The line says which option answers."""
    assert command("remove-workflow", "icon_512").exit_code == 2
    assert "icon_512" in command("list-workflows").stdout
