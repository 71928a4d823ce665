"""Reports every error of the command: one line on stderr, and the exit code. Every command exits here."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from typer import Abort

# Typer exports neither. They report an invalid command line.
from typer._click.exceptions import ClickException, NoArgsIsHelpError
from typer.core import TyperGroup

from cli.exit_codes import CommandFailedError, ExitCode
from cli.printer import PROGRAM, printable, wrapped_for
from gateway.errors import GatewayError, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence


class ErrorReportingGroup(TyperGroup):
    """The root group. Commands raise errors anywhere; they are printed here."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002  signature of Typer's method
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002  signature of Typer's method
        **extra: Any,  # noqa: ANN401  signature of Typer's method
    ) -> Any:  # noqa: ANN401  signature of Typer's method
        """Run a command and exit the process with its exit code."""
        del standalone_mode
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")  # a character that a terminal cannot show is no reason to fail
        try:
            code = super().main(args, prog_name or PROGRAM, complete_var, False, windows_expand_args, **extra)  # noqa: FBT003
            if code == ExitCode.INTERRUPTED:  # Typer returns this for a Ctrl-C that no command has reported
                _report("Stopped.", ExitCode.INTERRUPTED)
        except NoArgsIsHelpError:  # it has shown the help
            code = ExitCode.USAGE
        except ClickException as error:
            code = _report(_usage_message(error), ExitCode.USAGE)
        except CommandFailedError as error:
            code = _report(error.line, error.code)
        except RequestError as error:
            code = _report(error.message, ExitCode.REFUSED)
        except GatewayError as error:
            # The lines after the first are the end of a process's log. Both are our own text.
            code = _report(error.message.splitlines()[0], ExitCode.FAILED)
            sys.stderr.writelines(f"{printable(line)}\n" for line in error.message.splitlines()[1:])
        except Abort:
            code = _report("Stopped.", ExitCode.INTERRUPTED)
        sys.exit(int(code or 0))


def _usage_message(error: ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else PROGRAM
    message = error.format_message().rstrip(".").replace("Value error, ", "")  # the prefix is pydantic's
    return f"{message}{'' if message.endswith('?') else '.'} See {path} --help"


def _report(message: str, code: ExitCode) -> ExitCode:
    sys.stderr.write(wrapped_for(sys.stderr, f"{PROGRAM}: {' '.join(printable(message).split())}") + "\n")
    return code
