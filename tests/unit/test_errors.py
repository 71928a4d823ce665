"""The error tree and the HTTP contract name the same codes."""

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

# The contract's table of errors; `INTERNAL_ERROR` stands for what nobody raises on purpose.
STATUS_OF_CODE = {
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
JOB_CODES = {
    "COMFYUI_UNREACHABLE",
    "COMFYUI_OOM",
    "COMFYUI_TIMEOUT",
    "COMFYUI_NODE_ERROR",
    "COMFYUI_REJECTED",
    "EXECUTOR_LOST",
    "OUTPUT_ERROR",
}
RETRIED = {"COMFYUI_UNREACHABLE"}
NEVER_RETRIED = {"COMFYUI_OOM", "COMFYUI_REJECTED", "COMFYUI_NODE_ERROR", "EXECUTOR_LOST"}

Root = TypeVar("Root", bound=GatewayError)


def below(root: type[Root]) -> list[type[Root]]:
    """List the kernel's classes under a root, however deep."""
    found = [cls for child in root.__subclasses__() for cls in (child, *below(child))]
    return [cls for cls in found if cls.__module__ == errors.__name__]


@pytest.mark.parametrize("cls", below(RequestError), ids=lambda cls: cls.__name__)
def test_every_request_error_has_its_place_in_the_contract(cls: type[RequestError]) -> None:
    """A new RequestError needs a code and the status that the contract gives to it."""
    assert STATUS_OF_CODE.get(cls.code) == cls.status


@pytest.mark.parametrize("cls", below(JobFailedError), ids=lambda cls: cls.__name__)
def test_every_failure_of_a_job_has_a_code_of_the_contract(cls: type[JobFailedError]) -> None:
    """A new JobFailedError needs one of the contract's error classes, and retries as it says."""
    assert cls.code in JOB_CODES
    assert cls.retryable or cls.code not in RETRIED
    assert not cls.retryable or cls.code not in NEVER_RETRIED


def test_every_failure_of_the_contract_can_be_told() -> None:
    """No error class of the contract is without an error."""
    assert {cls.code for cls in below(JobFailedError)} == JOB_CODES


@pytest.mark.parametrize("cls", below(GatewayError), ids=lambda cls: cls.__name__)
def test_every_error_is_drawn(cls: type[GatewayError]) -> None:
    """The picture at the top of the file is complete, and shows each under its code."""
    assert errors.__doc__
    (line,) = [line for line in errors.__doc__.splitlines() if f" {cls.__name__} " in f"{line} "]
    assert cls not in below(RequestError) or f"{vars(cls).get('status', '')}" in line
    assert getattr(cls, "code", "") in line


@pytest.mark.parametrize("cls", below(JobFailedError), ids=lambda cls: cls.__name__)
def test_every_failure_says_what_to_do(cls: type[JobFailedError]) -> None:
    """Either in general or, where that depends on the job, each time that it is raised."""
    depends_on_the_job = {ComfyUIOutOfMemoryError, ComfyUITimeoutError, ComfyUIRejectedError}
    assert cls("It failed.", "Do this.").recommendation == "Do this."
    assert bool(cls("It failed.").recommendation) is (cls not in depends_on_the_job)


def test_a_refusal_lists_all_problems() -> None:
    """The message names the first problem and counts the others; the details have all."""
    error = RequestInvalidError([Problem("inputs.a", "Wrong."), Problem("inputs.b", "Missing.")])
    assert error.message == "Invalid request: inputs.a: Wrong. (and 1 more)"
    assert error.details == {
        "errors": [{"path": "inputs.a", "message": "Wrong."}, {"path": "inputs.b", "message": "Missing."}]
    }


def test_a_refusal_has_a_bound() -> None:
    """However many problems there are, and however long their paths, the answer stays small."""
    error = RequestInvalidError([Problem("x" * 10_000, "Wrong.")] * 10_000)
    assert len(error.problems) == 101
    assert error.problems[-1] == Problem("", "9900 more problems are not listed.")
    assert len(str(error.details)) < 100_000
    assert "(and 9999 more)" in error.message
