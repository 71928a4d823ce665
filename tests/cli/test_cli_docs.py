"""docs/cli.md has every command, option and exit code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.testing import CliRunner

from cli.exit_codes import ExitCode
from cli.main import app

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
SHARED = {"gateway": {"--url", "--api-key", "--token", "--profile", "--json"}, "aws": {"--stage", "--json"}}


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401  Typer's types are private
    """List all commands, those of groups as `keys create`."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


COMMANDS = dict(commands(typer.main.get_command(app)))


def sections() -> dict[str, tuple[list[str], str]]:
    """Parse the page into arguments and text of each command, by name."""
    found = {}
    for heading, text in re.findall(r"^### `(.+?)`\n(.*?)(?=^##|\Z)", PAGE, flags=re.MULTILINE | re.DOTALL):
        words = heading.split()
        arguments = [word for word in words if word.isupper()]
        found[" ".join(word for word in words if not word.isupper())] = (arguments, text)
    return found


def options_in(text: str) -> set[str]:
    """Return the options in a table."""
    rows = re.findall(r"^\| (`--?[a-z-]+`(?:, `--?[a-z-]+`)*) \|", text, flags=re.MULTILINE)
    return {option for row in rows for option in re.findall(r"`(.+?)`", row)}


def test_every_command_is_on_the_page() -> None:
    """The page has no other commands."""
    assert set(sections()) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_on_the_page(name: str) -> None:
    """Own and shared options, and no others."""
    arguments, text = sections()[name]
    marked = re.match(r"\n\*(Gateway|AWS)\b", text)
    shared = SHARED[marked[1].lower()] if marked else set()
    options: set[str] = set()
    positional = []
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "argument":
            positional.append((parameter.metavar or parameter.name).upper())
        elif parameter.name != "help":
            options |= {*parameter.opts, *parameter.secondary_opts}
    assert (options_in(text) | shared, arguments) == (options, positional)


def test_shared_options_are_on_the_page() -> None:
    """Their section has all of them, and no others."""
    _, _, section = PAGE.partition("## Shared options")
    section, _, _ = section.partition("\n## ")
    assert options_in(section) == SHARED["gateway"] | SHARED["aws"]


def test_exit_codes_are_on_the_page() -> None:
    """With the same meanings as in --help."""
    rows = re.findall(r"^\| ([0-9]+) \| (.+) \|$", PAGE, flags=re.MULTILINE)
    assert rows == [(str(code.value), code.meaning) for code in ExitCode]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_examples(name: str) -> None:
    """Each command and option has a help text; each command has examples with existing options."""
    command = COMMANDS[name]
    assert command.help
    assert all(p.help for p in command.params)
    examples = re.findall(r"^ +comfyui-gateway (.+)$", command.help, flags=re.MULTILINE)
    assert examples
    for example in examples:
        assert example.startswith(name.removeprefix("jobs ") if name == "jobs submit" else name)
        known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", example.partition(" | ")[0])) <= known


def test_examples_of_the_page_use_existing_commands_and_options() -> None:
    """In each line of each shell example."""
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL) for line in block.splitlines()]
    assert len(lines) > 10
    for line in lines:
        words = line.removeprefix("JOB=$(").partition("#")[0].partition(" > ")[0].split()
        assert words.pop(0) == "comfyui-gateway"
        name = max((name for name in COMMANDS if " ".join(words).startswith(name)), key=len)
        known = {option for p in COMMANDS[name].params for option in (*p.opts, *p.secondary_opts)}
        assert {word for word in words if re.fullmatch("--?[a-z][a-z-]*", word)} <= known


@pytest.mark.parametrize("arguments", [[], ["keys"], ["dead-letters"], ["--help"], ["jobs", "--help"]])
def test_help_is_shown_once(arguments: list[str]) -> None:
    """Also without a command, which is an invalid command line."""
    result = CliRunner().invoke(app, arguments)
    assert result.output.count("Usage:") == 1
    assert result.exit_code == (0 if "--help" in arguments else 2)
