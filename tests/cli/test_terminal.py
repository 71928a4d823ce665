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
from tests.webhooks.receiver import Receiver, hangs, responds
from tools.api_docs import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typer.testing import Result

    from tests.webhooks.receiver import Behavior

COLOR = re.compile(r"\x1b\[[0-9;]*[0-9]m")
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 96, "batch_size": 1, "color": 7}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "one"}},
}
SLOW_GRAPH = {
    "1": GRAPH["1"],
    "2": {
        "class_type": "LabSleep",
        "_meta": {"title": "A slow sampler"},
        "inputs": {"image": ["1", 0], "seconds": "{{seconds}}", "steps": 100, "interruptible": True, "progress": True},
    },
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "slow"}},
}
SLOW = ("submit", "icon_512", "-i", "prompt=slowly", "-i", "steps=150", "--wait")  # some seconds in the simulator


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run this checkout's code, wherever the command runs."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def slow_workflow(command: Callable[..., Result], home: Path) -> Iterator[None]:
    """Register a workflow whose node takes some seconds and reports its steps."""
    (home / "slow.json").write_text(json.dumps(SLOW_GRAPH))
    (home / "schema.json").write_text(json.dumps({"properties": {"seconds": {"type": "number"}}}))
    added = command("workflows", "add", "slow.json", "--schema", "schema.json", "--id", "slow_in_terminal")
    assert added.exit_code == 0, added.output
    yield
    command("workflows", "remove", "slow_in_terminal", "--yes")


def lines(text: str) -> list[str]:
    """Split what a terminal got into lines, without color."""
    return COLOR.sub("", text).replace("\r\n", "\n").split("\n")


@pytest.mark.usefixtures("slow_workflow")
def test_progress_is_one_line_with_step_and_time_left() -> None:
    """Node, step, percent and time left, with columns free for `^C`. At the end, 100 %."""
    with Terminal("submit", "slow_in_terminal", "-i", "seconds=8", "--wait", columns=60) as terminal:
        terminal.see("/100")
        terminal.see(" left")
        assert terminal.end() == 0, terminal.text
        shown = [part for line in lines(terminal.text) for part in line.split("\r")]
        bars = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", part) for part in shown if "━" in part]
        assert max(map(len, bars)) == 58
        assert any(bar.startswith("A slow sam") for bar in bars), bars
        assert "succeeded" in bars[-1]
        assert "100%" in bars[-1]
        assert COLOR.search(terminal.text)


@pytest.mark.usefixtures("slow_workflow")
def test_the_bar_of_a_job_that_did_not_succeed_stays_where_it_was(command: Callable[..., Result]) -> None:
    """With its percentage, below 100 %."""
    with Terminal("submit", "slow_in_terminal", "-i", "seconds=20", "--wait") as terminal:
        terminal.see("%")
        assert command("jobs", "cancel", lines(terminal.text)[0].removeprefix("Job ")).exit_code == 0
        assert terminal.end() == 7
        last = next(line for line in reversed(lines(terminal.text)) if "━" in line)
    assert "canceled" in last
    assert re.search(r" [0-9]{1,2}% +0:[0-9]{2} elapsed", last), last


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize(
    "arguments", [(*SLOW[:-1], "-o", "."), ("jobs", "list"), ("doctor",), ("workflows", "show", "icon_512")]
)
def test_no_color_turns_color_off(arguments: tuple[str, ...]) -> None:
    """Neither color nor bold."""
    with Terminal(*arguments, NO_COLOR="1") as terminal:
        assert terminal.end() == 0, terminal.text
        assert not COLOR.search(terminal.text), terminal.text


@pytest.mark.usefixtures("command")
def test_a_dumb_terminal_gets_lines() -> None:
    """Nothing moves where nothing can."""
    with Terminal("submit", "icon_512", "-i", "prompt=x", "-i", "steps=2", "--wait", TERM="dumb") as terminal:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.text
        assert "Succeeded." in terminal.text


def test_tables_fit_a_narrow_terminal_and_show_short_ids(command: Callable[..., Result]) -> None:
    """No row is wrapped, ages are relative, and the short id is understood by the next command."""
    job_id = command("submit", "icon_512", "-i", "prompt=x", "-i", "steps=2").stdout.strip()
    for arguments in (
        ("jobs", "list", "--limit", "3"),
        ("jobs", "show", job_id[:8]),
        ("workflows", "list"),
        ("workflows", "show", "sprite_transparent_bg"),
        ("stats",),
        ("health",),
    ):
        with Terminal(*arguments, columns=60) as terminal:
            assert terminal.end() == 0
            assert max(map(len, lines(terminal.text))) <= 60, terminal.text
        if arguments[:2] == ("jobs", "list"):
            heading, first, *others = [line for line in lines(terminal.text) if line.strip()]
            assert heading.startswith("JOB ")
            assert first.startswith(f"{job_id[:8]} ")
            assert "s ago " in first
            assert all(re.match("[0-9a-f]{8}  ", line) for line in others)
        if arguments[:2] == ("jobs", "show"):
            assert job_id in terminal.text


def test_ctrl_c_ends_the_waiting_and_not_the_job(command: Callable[..., Result], tmp_path: Path) -> None:
    """It says so, and how to look or to stop it."""
    output = tmp_path / "output"
    process = interrupted("running", output, *SLOW)
    assert process.returncode == 130, output.read_text()
    job_id = output.read_text().splitlines()[0].removeprefix("Job ")
    last = output.read_text().splitlines()[-1]
    assert "the job continues" in last
    assert f"comfyui-gateway jobs wait {job_id}" in last
    assert f"comfyui-gateway jobs cancel {job_id}" in last
    assert "Traceback" not in output.read_text()
    job = json.loads(command("jobs", "wait", job_id, "--json").stdout)
    assert job["status"] == "succeeded"


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize("more", [(), ("--json",), ("-o", "a folder")])
def test_ctrl_c_as_soon_as_the_job_is_accepted(tmp_path: Path, more: tuple[str, ...]) -> None:
    """Even before anything but the id was shown, the error says how to continue."""
    output = tmp_path / "output"
    process = interrupted("Job ", output, *SLOW, *more)
    assert process.returncode == 130, output.read_text()
    job_id = output.read_text().splitlines()[0].removeprefix("Job ")
    last = output.read_text().splitlines()[-1]
    resume = f"jobs download {job_id} -o 'a folder'" if "-o" in more else f"jobs wait {job_id}"
    assert last.startswith("comfyui-gateway: Stopped waiting; the job continues")
    assert f"comfyui-gateway {resume}. " in last


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("before", "message"),
    [
        ((), "Stopped."),
        (
            (responds(200, "Content-Type: application/json", body=json.dumps(examples.WORKFLOW).encode()),),
            "Stopped before the gateway responded. Check whether it accepted the job: comfyui-gateway jobs list",
        ),
    ],
    ids=["reading-the-workflow", "posting-the-job"],
)
def test_ctrl_c_before_a_job_is_accepted(tmp_path: Path, before: tuple[Behavior, ...], message: str) -> None:
    """While the workflow is fetched, nothing was submitted; while the job is posted, it is not known."""
    output = tmp_path / "output"
    with Receiver(*before, hangs()) as receiver:
        arguments = ("submit", "w", "-i", "color=1", "--url", f"http://127.0.0.1:{receiver.port}")
        process = interrupted(lambda _said: len(receiver.received) > len(before), output, *arguments)
    assert (process.returncode, output.read_text()) == (130, f"comfyui-gateway: {message}\n")


@pytest.mark.usefixtures("slow_workflow")
def test_ctrl_c_in_a_terminal(command: Callable[..., Result]) -> None:
    """The same with the bar, and the cursor is visible again."""
    with Terminal("submit", "slow_in_terminal", "-i", "seconds=20", "--wait") as terminal:
        terminal.see("A slow sampler")
        terminal.type("\x03")
        assert terminal.end() == 130
        assert "the job continues" in " ".join(lines(terminal.text)[-4:])
        assert terminal.text.rfind("\x1b[?25h") > terminal.text.rfind("\x1b[?25l")
    assert command("jobs", "cancel", lines(terminal.text)[0].removeprefix("Job ")).exit_code == 0


def test_ctrl_c_during_the_imports_is_one_line() -> None:
    """Without a traceback."""
    script = (
        "import os, signal, sys\n"
        "from cli.__main__ import main\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "main()"
    )
    done = subprocess.run(  # noqa: S603  ours
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "comfyui-gateway: Stopped.\n")


def test_ctrl_c_while_a_log_is_followed(command: Callable[..., Result], tmp_path: Path) -> None:
    """It ends in one line."""
    output = tmp_path / "output"
    job_id = command(*SLOW[:-1]).stdout.strip()
    process = interrupted("Accepted.", output, "jobs", "logs", "-f", job_id)
    assert process.returncode == 130
    assert output.read_text().splitlines()[-1] == "comfyui-gateway: Stopped."


def test_a_person_is_asked(home: Path) -> None:
    """A gateway in this folder, without a key, on another port by option."""
    with Terminal("init", "--port", "3055") as terminal:
        terminal.see("to set one up in this folder")
        terminal.type("\n")
        terminal.see("Require an API key?")
        terminal.type("n\n")
        assert terminal.end() == 0, terminal.text
    assert (env_file.read(home / ".env") or {})["PORT"] == "3055"
    with Terminal("init") as terminal:
        terminal.see("to set one up")
        terminal.type("http://gateway.example:8080\n")
        terminal.see("API key (empty")
        terminal.type("s3cret\n")
        terminal.see("Replace?")
        terminal.type("y\n")
        assert terminal.end() == 0, terminal.text
        assert "s3cret" not in terminal.text
    kept = env_file.read(home.parent / "config" / "comfyui-gateway" / "default.env")
    assert kept == {"COMFYUI_GATEWAY_URL": "http://gateway.example:8080", "COMFYUI_GATEWAY_API_KEY": "s3cret"}
    with Terminal("init") as terminal:
        terminal.see("to set one up")
        terminal.type("\x03")
        assert terminal.end() == 130


def test_a_person_sees_a_proposal_before_it_is_registered(command: Callable[..., Result], home: Path) -> None:
    """And says yes or no."""
    (home / "seen.json").write_text(json.dumps(GRAPH))
    for answer, is_there in (("n\n", False), ("y\n", True)):
        with Terminal("workflows", "add", "seen.json") as terminal:
            terminal.see("Register seen with these inputs?")
            assert "1 (EmptyImage) width" in terminal.text
            terminal.type(answer)
            assert terminal.end() == (0 if is_there else 3), terminal.text
        assert ("seen" in command("workflows", "list").stdout) is is_there
    assert (home / "seen.schema.json").exists()
    with Terminal("workflows", "remove", "seen") as terminal:
        terminal.see("Remove workflow seen?")
        terminal.type("n\n")
        assert terminal.end() == 3
    assert command("workflows", "remove", "seen", "--yes").exit_code == 0


@pytest.mark.usefixtures("command")
def test_a_reader_that_goes_away_is_no_fault() -> None:
    """As `head` does."""
    script = f"{' '.join(COMMAND)} workflows show icon_512 --json | head -n 1"
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
        (["jobs", "list"], {"boto3", "jsonschema_rs", "local", "aws_lambda_powertools"}),
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


def test_there_is_no_question_without_a_terminal(command: Callable[..., Result]) -> None:
    """The line says which option answers."""
    assert command("workflows", "remove", "icon_512").exit_code == 2
    assert "icon_512" in command("workflows", "list").stdout
