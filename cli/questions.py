"""Questions to a person at a terminal."""

from __future__ import annotations

import sys

import typer

from cli.exit_codes import CommandFailedError, ExitCode


def confirm(question: str) -> bool:
    """Ask a yes/no question. Raises CommandFailedError if there is no terminal."""
    if not sys.stdin.isatty():
        raise CommandFailedError(
            "There is no terminal to ask for confirmation", ExitCode.USAGE, advice="Confirm with --yes."
        )
    return typer.confirm(question, err=True)


def prompt(question: str, *, instead: str) -> str:
    """Ask for a text, which may be empty. Raises CommandFailedError if there is no terminal; `instead`: an option."""
    if not sys.stdin.isatty():
        raise CommandFailedError("There is no terminal to ask at", ExitCode.USAGE, advice=f"Give {instead}.")
    return str(typer.prompt(question, default="", show_default=False, err=True))
