"""Wait while a store is unavailable: an outage costs a job neither its result nor an attempt.

    call ──works──▶ result
     ▲  └──fails──▶ logged once; the executor receives no more jobs
     └── backoff of 1, 2, 4 … 30 s, under the lease ──after `max_seconds`──▶ OutageError: the job is released, uncounted

Only what cannot pass is raised at once. Everything else is an outage: no connection, no response, 5xx, throttling, and
also rejected credentials and a missing bucket, which an operator corrects.
"""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, TypeVar

from executor.comfyui.monitor import ExecutionStoppedError
from executor.log import log_context, logger
from gateway.domain.job import LogLevel
from gateway.errors import ComfyUIUnreachableError, GatewayError, JobFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.job_log import JobLogWriter
    from executor.store_availability import StoreAvailability
    from gateway.domain.job import Job
    from gateway.ports import Clock

_Result = TypeVar("_Result")

_FIRST_BACKOFF_SECONDS = 1.0
_MAX_BACKOFF_SECONDS = 30.0
_POLL_SECONDS = 0.25
# A ComfyUI that was restarted still has the files; one that stays away costs an attempt, as during the execution.
_MAX_COMFYUI_SECONDS = 120.0


class OutageError(GatewayError):
    """A store was unavailable for longer than a job waits for it. The job is released, and its attempt not counted."""


class OutageWaiter:
    """Repeats the calls of one job to one store until they work. Safe to use from several threads.

    `store`: its name in logs. `must_stop` is asked before every call and during the backoff.
    """

    def __init__(  # noqa: PLR0913  all are named
        self,
        *,
        store: str,
        job: Job,
        log: JobLogWriter,
        must_stop: Callable[[], bool],
        availability: StoreAvailability,
        max_seconds: float,
        clock: Clock,
    ) -> None:
        self._store = store
        self._job = job
        self._log = log
        self._must_stop = must_stop
        self._availability = availability
        self._max_seconds = max_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting_for: str | None = None  # as it was logged

    def check(self) -> None:
        """Raise ExecutionStoppedError when the job must not continue."""
        if self._must_stop():
            raise ExecutionStoppedError("Its outputs were not stored.")

    def call(self, function: Callable[[], _Result]) -> _Result:
        """Return the function's result, however often it fails because of an outage.

        Raises the function's JobFailedError or ExecutionStoppedError; ExecutionStoppedError when the job must stop;
        OutageError.
        """
        failing_since: float | None = None
        recovered = False
        try:
            for failures in itertools.count():
                self.check()
                try:
                    result = function()
                except Exception as error:  # noqa: BLE001  see the module's docstring
                    now = self._clock.monotonic()
                    self._raise_if_final(error, 0.0 if failing_since is None else now - failing_since)
                    if failing_since is None:
                        failing_since = now
                        self._availability.start_waiting()
                    self._log_outage(error)
                    self._back_off(failures)
                else:
                    recovered = True
                    break
        finally:
            if failing_since is not None:
                self._availability.stop_waiting(recovered=recovered)
        self._log_recovery()
        return result

    def _raise_if_final(self, error: Exception, failing_seconds: float) -> None:
        """Raise an error that cannot pass, and any error when the call has failed for too long."""
        if isinstance(error, ComfyUIUnreachableError):
            if failing_seconds >= _MAX_COMFYUI_SECONDS:
                raise error
        elif isinstance(error, JobFailedError | ExecutionStoppedError):
            raise error
        elif failing_seconds >= self._max_seconds:
            raise OutageError(f"{_sentence(self._store)} is unavailable: {outage_reason(error)}") from None

    def _back_off(self, failures: int) -> None:
        until = self._clock.monotonic() + min(_FIRST_BACKOFF_SECONDS * 2 ** min(failures, 10), _MAX_BACKOFF_SECONDS)
        while (seconds := until - self._clock.monotonic()) > 0:
            self.check()
            self._clock.sleep(min(seconds, _POLL_SECONDS))

    def _log_outage(self, error: Exception) -> None:
        name = "ComfyUI" if isinstance(error, ComfyUIUnreachableError) else self._store
        reason = outage_reason(error)
        with self._lock:
            if self._waiting_for:
                return
            self._waiting_for = name
            self._log.add(f"Waiting for {name}: {reason}", level=LogLevel.WARNING)
        self._log_for_operator(f"waiting for {name}", "store_unavailable", reason)

    def _log_recovery(self) -> None:
        with self._lock:
            name, self._waiting_for = self._waiting_for, None
            if name:
                self._log.add(f"{_sentence(name)} responds again.")
        if name:
            self._log_for_operator(f"{name} responds again", "store_available", None)

    def _log_for_operator(self, message: str, action: str, reason: str | None) -> None:
        job = self._job
        with log_context(private=job.private, job_id=job.id, correlation_id=job.correlation_id):
            logger.warning(message, action=action, reason=reason)


def outage_reason(error: Exception) -> str:
    """Return why a call failed, without addresses and names: the store's error code, or the type of the exception."""
    if isinstance(error, GatewayError):
        return error.message
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return f"{code or type(error).__name__}."


def _sentence(text: str) -> str:
    """Return text as the beginning of a sentence."""
    return text[0].upper() + text[1:]
