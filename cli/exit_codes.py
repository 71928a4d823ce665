"""How a command ends: its exit code, and the one line that says why."""

from __future__ import annotations

from enum import IntEnum
from typing import Self

from gateway.errors import GatewayError


class ExitCode(IntEnum):
    """What a script learns from the end of a command."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Make a code with what it means."""
        made = int.__new__(cls, code)
        made._value_ = code
        made.meaning = meaning
        return made

    OK = 0, "done"
    FAILED = 1, "anything else: a setting, a file or AWS stands against it; doctor found problems"
    USAGE = 2, "the command line is wrong"
    REFUSED = 3, "what was given is refused: a workflow, an input, a state it does not fit"
    NOT_ALLOWED = 4, "no API key or token, a bad one, or one without the right"
    NOT_FOUND = 5, "there is no such job, workflow, output, key, profile or file"
    UNREACHABLE = 6, "no gateway answers, or what answers fails or is none"
    JOB_FAILED = 7, "the job failed or was canceled"
    TRY_LATER = 8, "too many requests: try again later"
    INTERRUPTED = 130, "Ctrl-C"


class CommandFailedError(GatewayError):
    """The command cannot do what it was asked to; the message is one line."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code
