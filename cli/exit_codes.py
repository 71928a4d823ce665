"""Exit codes of the command, and the error that ends a command with one."""

from __future__ import annotations

from enum import IntEnum
from typing import Self

from gateway.errors import GatewayError


class ExitCode(IntEnum):
    """What a script learns from how the command exits."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Create a code with its meaning."""
        created = int.__new__(cls, code)
        created._value_ = code
        created.meaning = meaning
        return created

    OK = 0, "success"
    FAILED = 1, "any other failure (setting, file, AWS), or doctor found problems"
    USAGE = 2, "invalid command line"
    REFUSED = 3, "the request was rejected: a workflow, an input, or a job in the wrong state"
    NOT_ALLOWED = 4, "API key or token missing, invalid, or without the required role"
    NOT_FOUND = 5, "no such job, workflow, output, key, profile or file"
    UNREACHABLE = 6, "gateway unreachable, or the server is not a ComfyUI Gateway"
    JOB_FAILED = 7, "the job failed or was canceled"
    TRY_LATER = 8, "rate limited: try again later"
    INTERRUPTED = 130, "interrupted by Ctrl-C"


class CommandFailedError(GatewayError):
    """A command that cannot finish.

    `message` says what is wrong, in one line. `advice` says what to do about it, as a separate sentence; it is empty
    when there is nothing to add.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED, *, advice: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.advice = advice

    @property
    def line(self) -> str:
        """Message and advice in one line."""
        return f"{self.message.rstrip('.')}. {self.advice}" if self.advice else self.message
