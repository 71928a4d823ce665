"""Logs keep exceptions' own words to themselves, unless they are known to be harmless."""

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
def _as_at_the_start() -> Iterator[None]:
    """Let each test begin, and leave, as a thread begins."""
    allow_exception_messages(allowed=False)
    yield
    allow_exception_messages(allowed=False)


def logged(error: BaseException) -> dict[str, Any]:
    """Log an exception; return the line."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter())
    record = logging.LogRecord("api", logging.ERROR, "f.py", 1, "it broke", None, (type(error), error, None))
    handler.handle(record)
    (line,) = stream.getvalue().splitlines()
    fields: dict[str, Any] = json.loads(line)
    return fields


def test_a_message_that_says_no_more_than_the_action_is_left_out() -> None:
    """Bytes of a log are billed, and a job has several lines."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter())
    for message in ("job ended", "it is over"):
        record = logging.LogRecord("api", logging.INFO, "f.py", 1, message, None, None)
        record.action = "job_ended"
        handler.handle(record)
    allowed = [json.loads(line).get("message") for line in stream.getvalue().splitlines()]
    assert allowed == [None, "it is over"]


def caught(act: Callable[[], object]) -> BaseException:
    """Do something that raises; return what it raises."""
    try:
        act()
    except Exception as error:  # noqa: BLE001  whatever it is
        return error
    raise AssertionError


def refused_item() -> None:
    """Give boto3 an item that it refuses."""
    client = boto3.client("dynamodb", region_name="eu-north-1")
    client.put_item(TableName="t", Item={"prompt": SECRET})


def refused_message() -> None:
    """Read a message that is none."""
    JobMessage.model_validate({"prompt": SECRET, "priority": SECRET})


def unknown_key() -> None:
    """Look for what is not there."""
    dict[str, str]()[SECRET]


def raised_from() -> None:
    """Raise one exception because of another, both with words of their own and a note."""
    try:
        unknown_key()
    except KeyError as error:
        other = RuntimeError(SECRET)
        other.add_note(SECRET)
        raise other from error


def raised_while_handling() -> None:
    """Raise an exception while another is handled."""
    try:
        unknown_key()
    except KeyError:
        int(SECRET)


@pytest.mark.parametrize(
    ("act", "types"),
    [
        (refused_item, ["ParamValidationError"]),
        (refused_message, ["ValidationError"]),
        (unknown_key, ["KeyError"]),
        (raised_from, ["RuntimeError", "KeyError"]),
        (raised_while_handling, ["ValueError", "KeyError"]),
    ],
)
def test_what_is_left_of_an_exception_is_its_type_and_its_stack(act: Callable[[], object], types: list[str]) -> None:
    """The line tells where it came from, and what it was caused by, and nothing that it says itself."""
    line = logged(caught(act))
    assert SECRET not in json.dumps(line)
    assert line["exception_name"] == types[0]
    heads = [part.splitlines()[0] for part in line["exception"].split("caused by ")]
    assert [head.rsplit(".", 1)[-1] for head in heads] == types
    assert f"in {act.__name__}" in line["exception"]
    assert "test_redacting_log.py" in line["exception"]


def test_no_line_of_source_is_quoted() -> None:
    """A stack is files, lines and functions."""
    assert "[SECRET]" not in stack_of(caught(unknown_key))


def test_what_may_be_told_is_told() -> None:
    """Work that is known to be harmless is logged with all that helps."""
    allow_exception_messages(allowed=True)
    line = logged(caught(raised_from))
    assert SECRET in line["exception"]


def test_a_new_thread_tells_nothing_by_itself() -> None:
    """What one thread may say is not known of the others."""
    allow_exception_messages(allowed=True)
    lines: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: lines.append(logged(caught(unknown_key))))
    thread.start()
    thread.join()
    assert SECRET not in str(lines)


def test_endless_stacks_and_causes_are_cut() -> None:
    """A recursion without end, and exceptions that cause each other, make a bounded line."""

    def dive() -> None:
        dive()

    error = caught(dive)
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    error.__cause__ = first
    assert len(stack_of(error).splitlines()) < 100


def test_what_nobody_catches_is_logged_and_not_printed() -> None:
    """Neither a thread that dies nor the process itself shows a message."""
    script = f"""
import threading
from executor.log import log_uncaught_exceptions
log_uncaught_exceptions()
def die():
    raise ValueError("{SECRET}")
thread = threading.Thread(target=die)
thread.start()
thread.join()
die()
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # noqa: S603  our own
    assert ended.returncode == 1
    assert ended.stderr == ""
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line["exception_name"] for line in lines] == ["ValueError", "ValueError"]
    assert SECRET not in ended.stdout
