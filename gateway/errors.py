"""Every error that the gateway raises on purpose.

GatewayError
├── SettingsInvalidError               a setting is missing or invalid: the process does not start
├── RequestError                       the caller can fix it; becomes the HTTP response
│   ├── RequestInvalidError            400 VALIDATION_ERROR, with all problems
│   ├── CredentialsRejectedError       401 AUTH_FAILED
│   ├── RoleForbiddenError             403 FORBIDDEN
│   ├── PageForbiddenError             403 FORBIDDEN
│   ├── FileUrlInvalidError            403 FORBIDDEN
│   ├── PathNotFoundError              404 NOT_FOUND
│   │   ├── WorkflowNotFoundError      404 WORKFLOW_NOT_FOUND
│   │   ├── JobNotFoundError           404 JOB_NOT_FOUND
│   │   └── OutputNotFoundError        404 OUTPUT_NOT_FOUND
│   ├── MethodNotAllowedError          405 METHOD_NOT_ALLOWED
│   ├── StateConflictError             409 CONFLICT
│   ├── PayloadTooLargeError           413 PAYLOAD_TOO_LARGE
│   ├── MediaTypeUnsupportedError      415 UNSUPPORTED_MEDIA_TYPE
│   ├── IdempotencyMismatchError       422 IDEMPOTENCY_MISMATCH
│   └── RateLimitedError               429 RATE_LIMITED, retryable
├── JobFailedError                     why an attempt failed; stored on the job, or retried if `retryable`
│   ├── ComfyUIUnreachableError        COMFYUI_UNREACHABLE, retryable
│   │   └── ComfyUISilentError         COMFYUI_UNREACHABLE, retryable
│   ├── ComfyUIOutOfMemoryError        COMFYUI_OOM
│   ├── ComfyUITimeoutError            COMFYUI_TIMEOUT
│   ├── ComfyUINodeError               COMFYUI_NODE_ERROR
│   ├── ComfyUIRejectedError           COMFYUI_REJECTED
│   ├── ExecutorLostError              EXECUTOR_LOST
│   │   └── AttemptsLostError          EXECUTOR_LOST, retryable
│   ├── OutputStorageError             OUTPUT_ERROR, retryable
│   │   └── OutputGoneError            OUTPUT_ERROR, retryable
│   └── OutputUnusableError            OUTPUT_ERROR
├── ObjectRefusedError                 the store will never take this object
├── JobNotClaimableError               an attempt holds the job, or it has ended (in gateway/domain/job_errors.py)
├── LeaseLostError                     this attempt may not write any more
├── CallbackRefusedError               webhooks may not go to this URL
├── NameUnresolvedError                a host's addresses cannot be resolved now
├── DeliveryNotDueError                no delivery attempt is due (in gateway/domain/job_errors.py)
├── AwsCallFailedError                 an AWS call of an operator's command failed
├── EventNotPublishedError             the bus rejected an event
└── JobCountsConflictError             counts of jobs could not be changed: others kept changing them

A new error is a class here, drawn above. Its code, if it is new, is a row in docs/errors.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from gateway.limits import MAX_PROBLEM_PATH_CHARACTERS, MAX_PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class GatewayError(Exception):
    """Root of the tree. `message` is for people and contains nothing internal."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SettingsInvalidError(GatewayError):
    """A setting is missing or invalid; the message names it. `problems`: what is wrong, by the name of the setting."""

    def __init__(self, message: str, problems: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.problems = problems or {}


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a request: its path in the body (`inputs.steps`), and a message."""

    path: str
    message: str


class RequestError(GatewayError):
    """A request that cannot be carried out. `code` and `status` are part of the API.

    `retryable`: the same request may succeed later.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    retryable: ClassVar[bool] = False

    @property
    def details(self) -> dict[str, Any] | None:
        """Details for programs, in addition to the message; None when there are none."""
        return None


class RequestInvalidError(RequestError):
    """The request breaks one or more rules; `problems` lists them, up to MAX_PROBLEMS and how many more."""

    code = "VALIDATION_ERROR"
    status = 400

    def __init__(self, problems: Sequence[Problem], message: str | None = None) -> None:
        shown = [Problem(p.path[:MAX_PROBLEM_PATH_CHARACTERS], p.message) for p in problems[:MAX_PROBLEMS]]
        first = shown[0] if shown else Problem("", "invalid request")
        summary = f"{first.path}: {first.message}" if first.path else first.message
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(message or f"Invalid request: {summary}{more}")
        if len(problems) > MAX_PROBLEMS:
            shown.append(Problem("", f"{len(problems) - MAX_PROBLEMS} more problems are not listed."))
        self.problems = tuple(shown)

    @property
    def details(self) -> dict[str, Any]:
        """Return every problem as path and message, under `errors`."""
        return {"errors": [{"path": p.path, "message": p.message} for p in self.problems]}


class CredentialsRejectedError(RequestError):
    """The credentials are missing or invalid."""

    code = "AUTH_FAILED"
    status = 401


class RoleForbiddenError(RequestError):
    """The role of the caller does not allow this."""

    code = "FORBIDDEN"
    status = 403


class PageForbiddenError(RequestError):
    """The gateway has no keys, and the request could come from a web page that is not its own."""

    code = "FORBIDDEN"
    status = 403


class FileUrlInvalidError(RequestError):
    """The URL of a file has expired, or was changed."""

    code = "FORBIDDEN"
    status = 403


class PathNotFoundError(RequestError):
    """There is nothing at this path, or nothing that this caller may see."""

    code = "NOT_FOUND"
    status = 404


class WorkflowNotFoundError(PathNotFoundError):
    """No workflow has this id."""

    code = "WORKFLOW_NOT_FOUND"

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"Workflow '{workflow_id}' not found. GET /workflows lists the workflows.")


class JobNotFoundError(PathNotFoundError):
    """The caller has no job with this id."""

    code = "JOB_NOT_FOUND"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job '{job_id}' not found.")


class OutputNotFoundError(PathNotFoundError):
    """The job has no output with this name."""

    code = "OUTPUT_NOT_FOUND"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job '{job_id}' has no such output. GET /outputs/{job_id} lists its outputs.")


class MethodNotAllowedError(RequestError):
    """The path exists, but not for this method."""

    code = "METHOD_NOT_ALLOWED"
    status = 405


class StateConflictError(RequestError):
    """The stored state does not allow this."""

    code = "CONFLICT"
    status = 409


class PayloadTooLargeError(RequestError):
    """The request, or the response to it, would be larger than allowed."""

    code = "PAYLOAD_TOO_LARGE"
    status = 413


class MediaTypeUnsupportedError(RequestError):
    """The body is not JSON by its Content-Type, or is compressed."""

    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415


class IdempotencyMismatchError(RequestError):
    """The idempotency key was already used with another request."""

    code = "IDEMPOTENCY_MISMATCH"
    status = 422


class RateLimitedError(RequestError):
    """The caller has sent too many requests in this window; the next one starts in `retry_seconds`."""

    code = "RATE_LIMITED"
    status = 429
    retryable = True

    def __init__(self, limit: int, window_seconds: float, retry_seconds: int) -> None:
        super().__init__(f"Too many requests: {limit} are allowed in {window_seconds:g} s. Retry in {retry_seconds} s.")


class JobFailedError(GatewayError):
    """An attempt failed. `retryable`: another attempt may succeed. `advice`: the default recommendation."""

    code: ClassVar[str]
    retryable: ClassVar[bool] = False
    advice: ClassVar[str | None] = None

    def __init__(self, message: str, recommendation: str | None = None) -> None:
        super().__init__(message)
        self.recommendation = recommendation or self.advice


class ComfyUIUnreachableError(JobFailedError):
    """ComfyUI does not respond, or lost the prompt."""

    code = "COMFYUI_UNREACHABLE"
    retryable = True
    advice = "Check that ComfyUI is running, and its log. Restart it if it hangs."


class ComfyUISilentError(ComfyUIUnreachableError):
    """ComfyUI accepts connections but does not respond in time: it is busy, or it hangs."""


class ComfyUIOutOfMemoryError(JobFailedError):
    """The GPU or the host ran out of memory."""

    code = "COMFYUI_OOM"


class ComfyUITimeoutError(JobFailedError):
    """The execution took longer than the executor allows."""

    code = "COMFYUI_TIMEOUT"


class ComfyUINodeError(JobFailedError):
    """A node of the graph raised an exception."""

    code = "COMFYUI_NODE_ERROR"
    advice = "The message is from the node: check its inputs, or run the workflow in ComfyUI's web page."


class ComfyUIRejectedError(JobFailedError):
    """ComfyUI rejected the graph before running it."""

    code = "COMFYUI_REJECTED"


class ExecutorLostError(JobFailedError):
    """No executor finished the job, and none will."""

    code = "EXECUTOR_LOST"
    advice = "Search the executors' logs for this job. Submit it again when they are running."


class AttemptsLostError(ExecutorLostError):
    """Every attempt ended with its executor. The job itself may be sound: the same job may succeed later."""

    retryable = True


class OutputStorageError(JobFailedError):
    """The outputs could not be downloaded or stored."""

    code = "OUTPUT_ERROR"
    retryable = True
    advice = "Check the executor's log: either ComfyUI's disk or the output bucket failed."


class OutputGoneError(OutputStorageError):
    """ComfyUI no longer has a file that it reported; only another execution can produce it again."""


class OutputUnusableError(JobFailedError):
    """The execution saved no output, too many, or one that ComfyUI does not serve; a retry would not help."""

    code = "OUTPUT_ERROR"
    advice = "Make the node save under another name or in another format; try the workflow in ComfyUI's web page."


class ObjectRefusedError(GatewayError):
    """A store of files refuses an object for what it is, so that a retry is refused, too. The message has the code."""


class LeaseLostError(GatewayError):
    """Another attempt holds the job, or it has ended. Nothing was written."""

    def __init__(self) -> None:
        super().__init__("The lease on the job is lost.")


class CallbackRefusedError(GatewayError):
    """Webhooks may not go to this URL. The message has the reason, and nothing about the network.

    Becomes a RequestInvalidError, or a failed delivery attempt.
    """


class NameUnresolvedError(GatewayError):
    """A host's addresses cannot be resolved now; a later attempt may succeed."""

    def __init__(self) -> None:
        super().__init__("The host name could not be resolved.")


class AwsCallFailedError(GatewayError):
    """An AWS call of an operator's command failed; the message has the reason."""


class EventNotPublishedError(GatewayError):
    """The bus responded but rejected the event; it must be published again."""


class JobCountsConflictError(GatewayError):
    """Other writers changed the same counts during every attempt. Nothing was written; it must be retried."""
