"""Every error of the command in one line on stderr, and its exit code: the one place where commands end."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from typer import Abort

# Typer exports neither. What a command line does wrong is told by them.
from typer._click.exceptions import ClickException, NoArgsIsHelpError
from typer.core import TyperGroup

from cli.exit_codes import CommandFailedError, ExitCode
from cli.printer import printable
from gateway.errors import GatewayError, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = "comfyui-gateway"


class OneLineErrorGroup(TyperGroup):
    """The root of all commands. Errors are raised anywhere, and told here."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002  as Typer calls it
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002  likewise
        **extra: Any,  # noqa: ANN401  likewise
    ) -> Any:  # noqa: ANN401  likewise
        """Run a command and end the process with its exit code."""
        del standalone_mode
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")  # what a terminal cannot show is no reason to fail
        try:
            code = super().main(args, prog_name or _NAME, complete_var, False, windows_expand_args, **extra)  # noqa: FBT003
            if code == ExitCode.INTERRUPTED:  # Typer makes this of a Ctrl-C that no command has told of
                _told("Stopped.", ExitCode.INTERRUPTED)
        except NoArgsIsHelpError:  # it has shown the help
            code = ExitCode.USAGE
        except ClickException as error:
            code = _told(_usage(error), ExitCode.USAGE)
        except CommandFailedError as error:
            code = _told(error.message, error.code)
        except RequestError as error:
            code = _told(error.message, ExitCode.REFUSED)
        except GatewayError as error:
            # These are our own words, the last lines of a log below them included.
            code = _told(error.message.splitlines()[0], ExitCode.FAILED)
            sys.stderr.writelines(f"{printable(line)}\n" for line in error.message.splitlines()[1:])
        except Abort:
            code = _told("Stopped.", ExitCode.INTERRUPTED)
        sys.exit(int(code or 0))


def _usage(error: ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else _NAME
    message = error.format_message().rstrip(".").replace("Value error, ", "")  # as pydantic begins what Typer tells
    return f"{message}. See {path} --help"


def _told(message: str, code: ExitCode) -> ExitCode:
    sys.stderr.write(f"{_NAME}: {' '.join(printable(message).split())}\n")
    return code
