"""A Typer app whose help texts are the docstrings of its commands, wrapped to the width of the terminal."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.models import CommandFunctionType


class CommandApp(typer.Typer):
    """A group of commands. `gh` is the model of their help: short imperative sentences, then examples."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  Typer's own options
        super().__init__(no_args_is_help=options.pop("no_args_is_help", True), **options)

    def command(
        self,
        name: str | None = None,
        **options: Any,  # noqa: ANN401  Typer's own options
    ) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """Register a command. Its docstring is its help."""
        register = super().command

        def decorate(command: CommandFunctionType) -> CommandFunctionType:
            return register(name, help=help_text(inspect.getdoc(command) or ""), **options)(command)

        return decorate


def help_text(docstring: str) -> str:
    """Join the lines of each paragraph, since terminals differ in width; indented lines, as of examples, stay."""
    return re.sub(r"(?<=\S)\n(?=\S)", " ", docstring)
