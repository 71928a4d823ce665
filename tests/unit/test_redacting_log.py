"""Exception messages are redacted in logs unless they are allowed."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from gateway.domain.messages import JobMessage
from gateway.redacting_log import RedactingFormatter, allow_exception_messages, stack_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = "a secret fox"


@pytest.fixture(autouse=True)
def _redact_by_default() -> Iterator[None]:
    """Restore the default of a new thread before and after each test."""
    allow_exception_messages(allowed=False)
    yield
    allow_exception_messages(allowed=False)


def logged(error: BaseException) -> dict[str, Any]:
    """Log an exception; return the fields of the line."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter())
    record = logging.LogRecord("api", logging.ERROR, "f.py", 1, "request failed", None, (type(error), error, None))
    handler.handle(record)
    (line,) = stream.getvalue().splitlines()
    fields: dict[str, Any] = json.loads(line)
    return fields


def test_a_message_that_repeats_the_action_is_omitted() -> None:
    """Logs are billed by size, and a job has several lines."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter())
    for message in ("job ended", "another text"):
        record = logging.LogRecord("api", logging.INFO, "f.py", 1, message, None, None)
        record.action = "job_ended"
        handler.handle(record)
    messages = [json.loads(line).get("message") for line in stream.getvalue().splitlines()]
    assert messages == [None, "another text"]


def caught(act: Callable[[], object]) -> BaseException:
    """Call a function that raises; return the exception."""
    try:
        act()
    except Exception as error:  # noqa: BLE001  of any type
        return error
    raise AssertionError


def put_invalid_item() -> None:
    """Raise the error of boto3 for an item without types."""
    client = boto3.client("dynamodb", region_name="eu-north-1")
    client.put_item(TableName="t", Item={"prompt": SECRET})


def parse_invalid_message() -> None:
    """Raise the validation error of a malformed message."""
    JobMessage.model_validate({"prompt": SECRET, "priority": SECRET})


def read_missing_key() -> None:
    """Raise KeyError with the secret as its key."""
    dict[str, str]()[SECRET]


def raised_from() -> None:
    """Raise an exception from another one, with the secret in both messages and in a note."""
    try:
        read_missing_key()
    except KeyError as error:
        other = RuntimeError(SECRET)
        other.add_note(SECRET)
        raise other from error


def raised_while_handling() -> None:
    """Raise an exception while another one is handled."""
    try:
        read_missing_key()
    except KeyError:
        int(SECRET)


@pytest.mark.parametrize(
    ("act", "types"),
    [
        (put_invalid_item, ["ParamValidationError"]),
        (parse_invalid_message, ["ValidationError"]),
        (read_missing_key, ["KeyError"]),
        (raised_from, ["RuntimeError", "KeyError"]),
        (raised_while_handling, ["ValueError", "KeyError"]),
    ],
)
def test_an_exception_is_logged_as_type_and_stack(act: Callable[[], object], types: list[str]) -> None:
    """The line has the types and stacks of the exception and its causes, without any message."""
    line = logged(caught(act))
    assert SECRET not in json.dumps(line)
    assert line["exception_name"] == types[0]
    heads = [part.splitlines()[0] for part in line["exception"].split("caused by ")]
    assert [head.rsplit(".", 1)[-1] for head in heads] == types
    assert f"in {act.__name__}" in line["exception"]
    assert "test_redacting_log.py" in line["exception"]


def test_a_stack_has_no_source_lines() -> None:
    """A stack consists of file names, line numbers and functions."""
    assert "[SECRET]" not in stack_of(caught(read_missing_key))


def test_allowed_messages_are_logged() -> None:
    """Where messages are allowed, the line contains them."""
    allow_exception_messages(allowed=True)
    line = logged(caught(raised_from))
    assert SECRET in line["exception"]


def test_a_new_thread_redacts_messages() -> None:
    """Allowing messages in one thread does not allow them in others."""
    allow_exception_messages(allowed=True)
    lines: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: lines.append(logged(caught(read_missing_key))))
    thread.start()
    thread.join()
    assert SECRET not in str(lines)


def test_long_stacks_and_circular_causes_are_truncated() -> None:
    """The line is limited for endless recursion, and for exceptions that cause each other."""

    def recurse() -> None:
        recurse()

    error = caught(recurse)
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    error.__cause__ = first
    assert len(stack_of(error).splitlines()) < 100


def test_uncaught_exceptions_are_logged_and_not_printed() -> None:
    """Neither a crashed thread nor the crashed process prints the message."""
    script = f"""
import threading
from executor.log import log_uncaught_exceptions
log_uncaught_exceptions()
def crash():
    raise ValueError("{SECRET}")
thread = threading.Thread(target=crash)
thread.start()
thread.join()
crash()
"""
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # noqa: S603  our own
    assert process.returncode == 1
    assert process.stderr == ""
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    assert [line["exception_name"] for line in lines] == ["ValueError", "ValueError"]
    assert SECRET not in process.stdout
