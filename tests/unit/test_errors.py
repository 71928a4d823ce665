"""The error tree: its diagram, the published codes, and the format of messages."""

from __future__ import annotations

from typing import TypeVar

import pytest

from gateway import errors
from gateway.errors import (
    ComfyUIOutOfMemoryError,
    ComfyUIRejectedError,
    ComfyUITimeoutError,
    GatewayError,
    JobFailedError,
    Problem,
    RequestError,
    RequestInvalidError,
)
from gateway.limits import MAX_PROBLEMS

# The codes of the published API: none may be removed or change its status. A new one needs no entry here.
PUBLISHED_STATUSES = {
    "VALIDATION_ERROR": 400,
    "AUTH_FAILED": 401,
    "FORBIDDEN": 403,
    "WORKFLOW_NOT_FOUND": 404,
    "JOB_NOT_FOUND": 404,
    "OUTPUT_NOT_FOUND": 404,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "CONFLICT": 409,
    "PAYLOAD_TOO_LARGE": 413,
    "IDEMPOTENCY_MISMATCH": 422,
    "RATE_LIMITED": 429,
}
PUBLISHED_JOB_CODES = {
    "COMFYUI_UNREACHABLE",
    "COMFYUI_OOM",
    "COMFYUI_TIMEOUT",
    "COMFYUI_NODE_ERROR",
    "COMFYUI_REJECTED",
    "EXECUTOR_LOST",
    "OUTPUT_ERROR",
}

Root = TypeVar("Root", bound=GatewayError)


def below(root: type[Root]) -> list[type[Root]]:
    """List the kernel's classes under a root, direct or not."""
    found = [cls for child in root.__subclasses__() for cls in (child, *below(child))]
    return [cls for cls in found if cls.__module__.startswith("gateway.")]


def test_published_codes_keep_their_status() -> None:
    """Clients depend on them."""
    statuses = {cls.code: cls.status for cls in below(RequestError)}
    assert PUBLISHED_STATUSES.items() <= statuses.items()
    assert {cls.code for cls in below(JobFailedError)} >= PUBLISHED_JOB_CODES


@pytest.mark.parametrize("cls", below(GatewayError), ids=lambda cls: cls.__name__)
def test_every_error_is_in_the_diagram(cls: type[GatewayError]) -> None:
    """The tree at the top of the file is complete, and shows each class with its code and status."""
    assert errors.__doc__
    (line,) = [line for line in errors.__doc__.splitlines() if f" {cls.__name__} " in f"{line} "]
    assert f"{vars(cls).get('status', '')}" in line
    assert getattr(cls, "code", "") in line
    if hasattr(cls, "code"):
        assert getattr(cls, "retryable", False) == ("retryable" in line)


@pytest.mark.parametrize("cls", below(JobFailedError), ids=lambda cls: cls.__name__)
def test_every_job_failure_has_a_recommendation(cls: type[JobFailedError]) -> None:
    """Either a default or, where it depends on the job, one that the caller passes."""
    depends_on_the_job = {ComfyUIOutOfMemoryError, ComfyUITimeoutError, ComfyUIRejectedError}
    assert cls("It failed.", "Do this.").recommendation == "Do this."
    assert bool(cls("It failed.").recommendation) is (cls not in depends_on_the_job)


def test_an_invalid_request_lists_all_problems() -> None:
    """The message names the first problem and counts the others; the details have all."""
    error = RequestInvalidError([Problem("inputs.a", "Wrong."), Problem("inputs.b", "Missing.")])
    assert "inputs.a: Wrong." in error.message
    assert "1 more" in error.message
    assert error.details == {
        "errors": [{"path": "inputs.a", "message": "Wrong."}, {"path": "inputs.b", "message": "Missing."}]
    }


def test_the_list_of_problems_is_limited() -> None:
    """The response stays small, however many problems there are and however long their paths are."""
    error = RequestInvalidError([Problem("x" * 10_000, "Wrong.")] * 10_000)
    assert len(error.problems) == MAX_PROBLEMS + 1
    assert str(10_000 - MAX_PROBLEMS) in error.problems[-1].message
    assert len(str(error.details)) < 100_000
    assert "9999 more" in error.message
