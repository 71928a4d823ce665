"""Every error the gateway raises on purpose.

GatewayError
├── SettingsInvalidError               a setting is missing or wrong: the process does not start
├── RequestError                       the caller can mend it; answered as it stands
│   ├── RequestInvalidError            400 VALIDATION_ERROR, with all problems
│   ├── CredentialsRejectedError       401 AUTH_FAILED
│   ├── RoleForbiddenError             403 FORBIDDEN
│   ├── PathNotFoundError              404 NOT_FOUND
│   │   ├── WorkflowNotFoundError      404 WORKFLOW_NOT_FOUND
│   │   ├── JobNotFoundError           404 JOB_NOT_FOUND
│   │   └── OutputNotFoundError        404 OUTPUT_NOT_FOUND
│   ├── MethodNotAllowedError          405 METHOD_NOT_ALLOWED
│   ├── StateConflictError             409 CONFLICT
│   ├── PayloadTooLargeError           413 PAYLOAD_TOO_LARGE
│   ├── IdempotencyMismatchError       422 IDEMPOTENCY_MISMATCH
│   └── RateLimitedError               429 RATE_LIMITED, retryable
├── JobFailedError                     why an attempt failed; recorded on the job, or retried when `retryable`
│   ├── ComfyUIUnreachableError        COMFYUI_UNREACHABLE
│   │   └── ComfyUISilentError         COMFYUI_UNREACHABLE
│   ├── ComfyUIOutOfMemoryError        COMFYUI_OOM
│   ├── ComfyUITimeoutError            COMFYUI_TIMEOUT
│   ├── ComfyUINodeError               COMFYUI_NODE_ERROR
│   ├── ComfyUIRejectedError           COMFYUI_REJECTED
│   ├── ExecutorLostError              EXECUTOR_LOST
│   ├── OutputStorageError             OUTPUT_ERROR
│   │   └── OutputGoneError            OUTPUT_ERROR
│   └── OutputUnusableError            OUTPUT_ERROR
├── JobNotClaimableError               another attempt holds the job, or it has ended (gateway/domain/job_errors.py)
├── LeaseLostError                     this attempt may write nothing any more
├── CallbackRefusedError               webhooks may not go there; answered as a RequestInvalidError, or a failed attempt
├── NameUnresolvedError                a host's addresses are not to be had now
├── DeliveryNotDueError                no delivery is due, or another attempt is running (gateway/domain/job_errors.py)
├── AwsCallFailedError                 AWS did not do what an operator's command asked of it
├── EventNotPublishedError             the bus did not take an event
└── JobCountsConflictError                counts of jobs could not be changed: others were always faster
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from gateway.limits import MAX_PROBLEM_PATH_CHARACTERS, MAX_PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Sequence


class GatewayError(Exception):
    """Root of the tree. `message` is for a person and names nothing internal."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SettingsInvalidError(GatewayError):
    """A setting is missing or wrong; the message names it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a request: where (`inputs.steps`), and what."""

    path: str
    message: str


class RequestError(GatewayError):
    """A request that cannot be carried out. `code` and `status` are the HTTP contract's.

    `retryable`: the very same request may succeed later.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    retryable: ClassVar[bool] = False

    @property
    def details(self) -> dict[str, Any] | None:
        """What a program can read beside the message; None when the message says it all."""
        return None


class RequestInvalidError(RequestError):
    """The request breaks one or more rules; `problems` lists all of them, up to a hundred and how many more."""

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
        """`errors`: every problem as path and message."""
        return {"errors": [{"path": p.path, "message": p.message} for p in self.problems]}


class CredentialsRejectedError(RequestError):
    """No credentials, or none that are good."""

    code = "AUTH_FAILED"
    status = 401


class RoleForbiddenError(RequestError):
    """The caller is known, but its role does not allow this."""

    code = "FORBIDDEN"
    status = 403


class PathNotFoundError(RequestError):
    """Nothing is there, or nothing that this caller may know of."""

    code = "NOT_FOUND"
    status = 404


class WorkflowNotFoundError(PathNotFoundError):
    """No workflow has this id."""

    code = "WORKFLOW_NOT_FOUND"

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"Workflow '{workflow_id}' not found. GET /workflows lists those there are.")


class JobNotFoundError(PathNotFoundError):
    """No job of this caller has this id."""

    code = "JOB_NOT_FOUND"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job '{job_id}' not found.")


class OutputNotFoundError(PathNotFoundError):
    """The job has no output of this name."""

    code = "OUTPUT_NOT_FOUND"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job '{job_id}' has no such output. GET /outputs/{job_id} lists those it has.")


class MethodNotAllowedError(RequestError):
    """The path exists, but not for this method."""

    code = "METHOD_NOT_ALLOWED"
    status = 405


class StateConflictError(RequestError):
    """What is stored stands against it."""

    code = "CONFLICT"
    status = 409


class PayloadTooLargeError(RequestError):
    """The request, or the answer it asks for, is larger than allowed."""

    code = "PAYLOAD_TOO_LARGE"
    status = 413


class IdempotencyMismatchError(RequestError):
    """The idempotency key was used before, with another body."""

    code = "IDEMPOTENCY_MISMATCH"
    status = 422


class RateLimitedError(RequestError):
    """The caller has used up what it may send in this window; `retry_seconds` until the next one."""

    code = "RATE_LIMITED"
    status = 429
    retryable = True

    def __init__(self, limit: int, window_seconds: float, retry_seconds: int) -> None:
        super().__init__(
            f"Too many requests: {limit} are allowed in {window_seconds:g} s. Try again in {retry_seconds} s."
        )


class JobFailedError(GatewayError):
    """An attempt failed. `retryable`: another attempt may well succeed. `advice`: what to do where no more is known."""

    code: ClassVar[str]
    retryable: ClassVar[bool] = False
    advice: ClassVar[str | None] = None

    def __init__(self, message: str, recommendation: str | None = None) -> None:
        super().__init__(message)
        self.recommendation = recommendation or self.advice


class ComfyUIUnreachableError(JobFailedError):
    """ComfyUI does not answer, or lost the prompt."""

    code = "COMFYUI_UNREACHABLE"
    retryable = True
    advice = "Look at ComfyUI's host and its log: whether it runs, and what it does. Restart it if it hangs."


class ComfyUISilentError(ComfyUIUnreachableError):
    """ComfyUI takes connections and answers nothing in time: it is there, and busy or hung."""


class ComfyUIOutOfMemoryError(JobFailedError):
    """The GPU's or the host's memory did not suffice."""

    code = "COMFYUI_OOM"


class ComfyUITimeoutError(JobFailedError):
    """The execution took longer than the executor allows."""

    code = "COMFYUI_TIMEOUT"


class ComfyUINodeError(JobFailedError):
    """A node of the graph raised."""

    code = "COMFYUI_NODE_ERROR"
    advice = "The message is the node's own: look at what reaches its inputs, or run the workflow in ComfyUI's page."


class ComfyUIRejectedError(JobFailedError):
    """ComfyUI refused the graph before running it."""

    code = "COMFYUI_REJECTED"


class ExecutorLostError(JobFailedError):
    """No executor brought the job to its end, and none will."""

    code = "EXECUTOR_LOST"
    advice = "Look in the executors' logs for this job; send it again once they run."


class OutputStorageError(JobFailedError):
    """The outputs could not be fetched or stored."""

    code = "OUTPUT_ERROR"
    retryable = True
    advice = "Look in the executor's log whether ComfyUI's disk or the store of the outputs was in the way."


class OutputGoneError(OutputStorageError):
    """ComfyUI reported a file that it has no more: only another execution can bring it back."""


class OutputUnusableError(JobFailedError):
    """The execution left nothing, too much, or what ComfyUI does not hand out: another attempt would do the same."""

    code = "OUTPUT_ERROR"
    advice = "Have the node that saves it use another name or kind of file; try the workflow in ComfyUI's own page."


class LeaseLostError(GatewayError):
    """Another attempt has the job, or it has ended: whatever this attempt wanted to write was not written."""

    def __init__(self) -> None:
        super().__init__("The lease on the job is lost.")


class CallbackRefusedError(GatewayError):
    """Webhooks may not go to this URL. The message tells its owner why, and nothing of the network."""


class NameUnresolvedError(GatewayError):
    """A host's addresses are not to be had now; it may well have some."""

    def __init__(self) -> None:
        super().__init__("The name of its host could not be resolved.")


class AwsCallFailedError(GatewayError):
    """AWS did not do what an operator's command asked of it; the message says what to look at."""


class EventNotPublishedError(GatewayError):
    """The bus answered, but did not take the event: it has to be published again."""


class JobCountsConflictError(GatewayError):
    """Others changed the same counts at every try: nothing was written, and it has to be tried again."""
