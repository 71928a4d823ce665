"""Run one job, from its message to its terminal status.

    claim ─▶ execute on ComfyUI ─▶ (GPU free) ─▶ store outputs ─▶ terminal write ─▶ event ─▶ delete the message

This order makes a crash harmless: at every point either the message becomes visible again and the next attempt
continues, or the job has ended and only the event and the deletion must be repeated.

The lease is held from the claim to the terminal write. An attempt is stopped for one of three reasons: the response to
a lease renewal had a cancel request, the lease was lost, or this executor shuts down. `_Attempt.must_stop` has all
three, and is asked before everything that others can see; PromptMonitor then cancels the prompt on ComfyUI, and
ExecutionStoppedError is raised; `_end_stopped` decides whether the job is canceled or released.

Only what the job itself does wrong, and a ComfyUI that fails, counts as an attempt. A release because of an outage of
AWS or of a store of files, or because of a shutdown, does not.
"""

from __future__ import annotations

import json
import math
import random
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from executor.comfyui.monitor import ExecutionStoppedError
from executor.comfyui.progress import PromptProgress
from executor.job.daemon_threads import map_in_threads
from executor.job.lease import Lease
from executor.job.outage import OutageError, OutageWaiter, outage_reason
from executor.job.output_prefix import with_attempt_prefix
from executor.job.privacy import HistoryScrubber
from executor.job_log import JobLogWriter
from executor.log import log_context, logger
from gateway.domain.job import JobEnd, JobFailure, JobStatus, LogLevel
from gateway.domain.job_errors import JobNotClaimableError
from gateway.errors import (
    AttemptsLostError,
    ComfyUIUnreachableError,
    ExecutorLostError,
    JobFailedError,
    LeaseLostError,
    OutputGoneError,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from executor.comfyui.client import ComfyUIClient
    from executor.comfyui.execution import PromptRunner
    from executor.comfyui.history import HistoryEntry
    from executor.comfyui.monitor import PromptMonitor
    from executor.job.finisher import JobFinisher
    from executor.job.outputs import OutputCollector
    from executor.store_availability import StoreAvailability
    from gateway.domain.job import Job, Output
    from gateway.ports import Clock, JobQueue, JobStore, ObjectStore, ReceivedJob

_BACKOFF_SECONDS = 2
_MAX_BACKOFF_SECONDS = 60
# How long a finished prompt waits for the output store. After that another executor may reach it; if this one receives
# the job again, it finds the outputs in ComfyUI's history.
_MAX_OUTPUT_WAIT_SECONDS = 30 * 60.0
# A job without its prompt occupies a slot that others could use.
_MAX_PROMPT_WAIT_SECONDS = 60.0
_OUTAGE_DELAY_SECONDS = 30
# How long the release of a job is repeated while the table is unavailable.
_MAX_RELEASE_SECONDS = 30 * 60.0
_RELEASE_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Attempt:
    """One claimed attempt of a job. `on_gpu_free` is called as soon as ComfyUI is done with it."""

    job: Job
    received: ReceivedJob
    log: JobLogWriter
    lease: Lease
    stopping: threading.Event
    on_gpu_free: Callable[[], None]

    def must_stop(self) -> bool:
        """Return whether the attempt may not continue."""
        return self.lease.cancel_requested or self.may_not_store()

    def may_not_store(self) -> bool:
        """Return whether the attempt may not even store what has been executed: a cancel is too late for that."""
        return self.lease.lost or self.lease.released or self.stopping.is_set()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Release:
    """The attempt ends without ending the job; its message becomes visible after the delay."""

    delay_seconds: int
    count_attempt: bool


class JobRunner:
    """Runs jobs, one per call and thread."""

    def __init__(  # noqa: PLR0913  everything that one job needs
        self,
        *,
        executor_id: str,
        jobs: JobStore,
        queue: JobQueue,
        objects: ObjectStore,
        finisher: JobFinisher,
        comfyui: ComfyUIClient,
        execution: PromptRunner,
        monitor: PromptMonitor,
        outputs: OutputCollector,
        stores: StoreAvailability,
        max_attempts: int,
        lease_seconds: int,
        stopping: threading.Event,
        on_run: Callable[[int], None],
        clock: Clock,
    ) -> None:
        self._executor_id = executor_id
        self._jobs = jobs
        self._queue = queue
        self._objects = objects
        self._finisher = finisher
        self._comfyui = comfyui
        self._execution = execution
        self._monitor = monitor
        self._outputs = outputs
        self._stores = stores
        self._max_attempts = max_attempts
        self._lease_seconds = lease_seconds
        self._stopping = stopping
        self._on_run = on_run  # called with each execution time in milliseconds
        self._clock = clock  # AWS time
        self._attempts: set[_Attempt] = set()
        self._history_scrubber = HistoryScrubber(comfyui)

    def stop_all(self) -> None:
        """Cancel every running prompt and release its job. The event `stopping` must be set before."""
        for attempt in tuple(self._attempts):
            if attempt.lease.progress:
                attempt.lease.progress.changed.set()

    def release_all(self) -> None:
        """Release the jobs of attempts that did not stop in time. The process must end after this.

        They wait for a response of ComfyUI or of AWS. What they may have left on ComfyUI is canceled by its next
        executor.
        """
        for attempt in tuple(self._attempts):
            attempt.lease.stop_renewing()
            attempt.log.add("Released: the executor is shutting down.")
            with suppress(Exception):  # AWS may be unavailable: the lease expires
                self._jobs.release(attempt.job, attempt.log.lines, count_attempt=False)
                self._change_visibility(attempt.received, 0)

    def run(self, received: ReceivedJob, on_gpu_free: Callable[[], None]) -> None:
        """Run the job of a message. Calls `on_gpu_free` as soon as ComfyUI is done with it. Raises nothing."""
        message = received.message
        with log_context(private=message.private, job_id=message.job_id, correlation_id=message.correlation_id):
            try:
                self._run(received, on_gpu_free)
            except LeaseLostError:
                # Another executor holds the job by now, or it has ended: the message is not ours to change.
                logger.warning("lease lost", action="lease_lost")
            except Exception:  # noqa: BLE001  whatever it was: the next attempt continues
                logger.exception("attempt failed unexpectedly", action="attempt_crashed")
                self._change_visibility(received, _backoff_seconds(received.receive_count))
            finally:
                on_gpu_free()

    def _run(self, received: ReceivedJob, on_gpu_free: Callable[[], None]) -> None:
        if not self._comfyui_available():
            self._change_visibility(received, _BACKOFF_SECONDS)
            return
        try:
            job = self._claim(received)
        except JobNotClaimableError as refused:
            self._handle_unclaimable(received, refused.job)
            return
        log = JobLogWriter(job.log, self._clock)
        log.add(f"Claimed by executor {self._executor_id}, attempt {job.attempt}.")
        lease = Lease(
            job=job,
            received=received,
            jobs=self._jobs,
            queue=self._queue,
            log=log,
            seconds=self._lease_seconds,
            clock=self._clock,
        )
        attempt = _Attempt(
            job=job, received=received, log=log, lease=lease, stopping=self._stopping, on_gpu_free=on_gpu_free
        )
        self._attempts.add(attempt)
        try:
            outcome = self._finish_attempt(attempt)
            if isinstance(outcome, _Release):
                self._release(attempt, outcome)
        finally:
            self._attempts.discard(attempt)
        if not isinstance(outcome, _Release):
            self._after_end(received, job, outcome)

    def _finish_attempt(self, attempt: _Attempt) -> Job | _Release:
        """Hold the lease during the attempt; return the ended job, or how to release it. Raises LeaseLostError."""
        lease = attempt.lease
        try:
            with lease:
                outcome = self._run_attempt(attempt)
                return outcome if isinstance(outcome, _Release) else self._write_end(attempt, outcome)
        except LeaseLostError:
            if lease.held_by_others:
                raise
            # The table was unavailable, and nobody has claimed the job yet.
            attempt.log.add("Released: the lease could not be renewed.", level=LogLevel.WARNING)
            return _Release(delay_seconds=0, count_attempt=False)
        except Exception:
            # Release the job, so that the next attempt need not wait until the lease expires. If this fails, it must.
            with suppress(Exception):
                self._jobs.release(attempt.job, attempt.log.lines)
            raise

    def _write_end(self, attempt: _Attempt, end: JobEnd) -> Job | _Release:
        """Write the terminal status; return the ended job, or release it when the table is unavailable."""
        try:
            return self._finisher.write(attempt.job, replace(end, log=attempt.log.lines))
        except LeaseLostError:
            attempt.lease.held_by_others = True
            raise
        except Exception as error:  # noqa: BLE001  any error of AWS: the next attempt finds the result
            reason = outage_reason(error)
            attempt.log.add(f"Released: the job's end could not be written. {reason}", level=LogLevel.WARNING)
            return _Release(delay_seconds=_BACKOFF_SECONDS, count_attempt=False)

    def _claim(self, received: ReceivedJob) -> Job:
        """Start an attempt. Raises JobNotClaimableError."""
        now = self._clock.now()
        lease_until = now + timedelta(seconds=self._lease_seconds)
        job = self._jobs.claim(received.message.job_id, executor_id=self._executor_id, now=now, lease_until=lease_until)
        if job.attempt > 1:
            logger.info("job claimed", action="job_claimed", attempt=job.attempt)
        else:
            # The usual case, which the job's own log has, too; log lines are billed by size.
            logger.debug("job claimed", action="job_claimed", attempt=job.attempt)
        return job

    def _after_end(self, received: ReceivedJob, job: Job, ended: Job) -> None:
        """Do what follows the terminal write. `job`: the job as it was claimed."""
        logger.info(
            "job ended",
            action="job_ended",
            status=ended.status,
            execution_ms=ended.execution_ms,
            error=ended.error.code if ended.error else None,
        )
        self._finisher.cache_result(job.cache_key, ended)
        self._finisher.publish(ended)
        self._queue.delete(received)
        if ended.private:
            self._history_scrubber.scrub(ended)
        if ended.execution_ms is not None:
            self._on_run(ended.execution_ms)

    def _handle_unclaimable(self, received: ReceivedJob, job: Job | None) -> None:
        """Handle a message whose job cannot be claimed: it is unknown, has ended, or another attempt holds it.

        The message of a job that is held is not deleted. It is mostly a duplicate, from a repeated request. But it can
        be the holder's own and only message:

            A claims ─▶ A cannot reach SQS, its message becomes visible ─▶ B receives it, and would delete it
              ─▶ A dies: no message remains to bring the job to another executor
        """
        if job is None:
            self._queue.delete(received)
        elif job.status.ended:
            # The executor that ended it may have crashed before it published the event.
            self._finisher.publish(job)
            self._cancel_all_attempts(job)
            if job.private:
                self._history_scrubber.scrub(job)
            self._queue.delete(received)
        else:
            # Receive it again when the current lease expires, if it is not renewed.
            expires_at = job.lease_expires_at
            remaining_seconds = (
                self._lease_seconds
                if expires_at is None
                else math.ceil((expires_at - self._clock.now()).total_seconds())
            )
            self._change_visibility(received, min(max(remaining_seconds, 1), self._lease_seconds))

    def _cancel_all_attempts(self, job: Job) -> None:
        """Cancel prompts that dead executors left on ComfyUI, of a job that must not run any more."""
        try:
            self._execution.cancel_all_attempts(job)
        except ComfyUIUnreachableError as error:
            logger.warning("prompts not canceled", action="prompts_not_canceled", reason=error.message)

    def _run_attempt(self, attempt: _Attempt) -> JobEnd | _Release:
        """Execute the prompt and store its outputs. Returns how the attempt ends. Raises LeaseLostError."""
        job = attempt.job
        if job.cancel_requested:
            self._cancel_all_attempts(job)
            return JobEnd(status=JobStatus.CANCELED, completed_at=self._clock.now())
        if job.counted_attempts > self._max_attempts:
            self._cancel_all_attempts(job)
            return self._failed(AttemptsLostError(f"Gave up after {self._max_attempts} attempts that did not finish."))
        try:
            return self._execute(attempt)
        except JobFailedError as failure:
            return self._retry_or_fail(attempt, failure)

    def _execute(self, attempt: _Attempt) -> JobEnd | _Release:
        """Run the prompt and store its outputs. Raises JobFailedError and LeaseLostError."""
        try:
            return self._execute_and_store(attempt)
        except ExecutionStoppedError as stopped:
            return self._end_stopped(attempt, stopped)
        except OutageError as outage:
            attempt.log.add(f"Released: {outage.message}", level=LogLevel.WARNING)
            return _Release(delay_seconds=_OUTAGE_DELAY_SECONDS, count_attempt=False)
        except JobFailedError as failure:
            if not attempt.lease.cancel_requested:
                raise
            attempt.log.add(f"Cancel requested. {failure.message}")
            return JobEnd(status=JobStatus.CANCELED, completed_at=self._clock.now())

    def _execute_and_store(self, attempt: _Attempt) -> JobEnd:
        job, log = attempt.job, attempt.log
        if job.private:
            self._history_scrubber.warn_if_metadata_is_written()
        prompt = with_attempt_prefix(self._load_prompt(attempt), job)
        progress = PromptProgress(prompt, None if job.private else job.inputs or {}, log, self._clock)
        attempt.lease.progress = progress
        entry = self._execution.run(job, progress, attempt.must_stop)
        attempt.on_gpu_free()
        outputs = self._store_outputs(attempt, entry)
        total = _readable_size(sum(output.size for output in outputs))
        log.add(f"Stored {len(outputs)} output{'s' if len(outputs) > 1 else ''}, {total}.")
        return JobEnd(
            status=JobStatus.SUCCEEDED,
            completed_at=self._clock.now(),
            execution_ms=entry.execution_ms,
            outputs=outputs,
        )

    def _store_outputs(self, attempt: _Attempt, entry: HistoryEntry) -> tuple[Output, ...]:
        def must_stop() -> bool:
            return attempt.may_not_store() or (attempt.lease.cancel_requested and not self._stores.available)

        waiter = self._waiter(attempt, "the output store", _MAX_OUTPUT_WAIT_SECONDS, must_stop)
        try:
            return self._outputs.store(attempt.job, entry.outputs, waiter, must_stop)
        except OutputGoneError:
            self._execution.delete_history(entry)
            raise

    def _waiter(self, attempt: _Attempt, store: str, max_seconds: float, must_stop: Callable[[], bool]) -> OutageWaiter:
        return OutageWaiter(
            store=store,
            job=attempt.job,
            log=attempt.log,
            must_stop=must_stop,
            availability=self._stores,
            max_seconds=max_seconds,
            clock=self._clock,
        )

    def _end_stopped(self, attempt: _Attempt, stopped: ExecutionStoppedError) -> JobEnd | _Release:
        """End or release a job that was stopped. Raises LeaseLostError."""
        if attempt.lease.lost:
            raise LeaseLostError
        if attempt.lease.cancel_requested:
            attempt.log.add(f"Cancel requested. {stopped.message}")
            return JobEnd(status=JobStatus.CANCELED, completed_at=self._clock.now())
        attempt.log.add("Released: the executor is shutting down.")
        return _Release(delay_seconds=0, count_attempt=False)

    def _retry_or_fail(self, attempt: _Attempt, failure: JobFailedError) -> JobEnd | _Release:
        """Release the job for a retry, or fail it when the error is permanent or its attempts are exhausted."""
        job = attempt.job
        if not failure.retryable or job.counted_attempts >= self._max_attempts:
            return self._failed(failure)
        logger.warning("attempt failed", action="attempt_failed", error=failure.code, reason=failure.message)
        delay_seconds = _backoff_seconds(job.counted_attempts)
        attempt.log.add(f"{failure.code}: {failure.message} Retrying in {delay_seconds} s.", level=LogLevel.WARNING)
        return _Release(delay_seconds=delay_seconds, count_attempt=True)

    def _failed(self, failure: JobFailedError) -> JobEnd:
        return JobEnd(status=JobStatus.FAILED, completed_at=self._clock.now(), error=JobFailure.of(failure))

    def _release(self, attempt: _Attempt, release: _Release) -> None:
        """End the attempt without ending the job. Raises LeaseLostError, and the last error of the table.

        Not under the lease: a renewal that is under way would take the lease again. While the table is unavailable,
        the release is repeated, so that the outage costs no attempt: the next claim would count this one.
        """
        deadline = self._clock.monotonic() + _MAX_RELEASE_SECONDS
        while True:
            try:
                self._jobs.release(attempt.job, attempt.log.lines, count_attempt=release.count_attempt)
                break
            except LeaseLostError:
                raise
            except Exception as error:
                if self._stopping.is_set() or self._clock.monotonic() > deadline:
                    raise
                logger.warning("job not released", action="job_not_released", reason=outage_reason(error))
                self._clock.sleep(_RELEASE_RETRY_SECONDS)
        self._change_visibility(attempt.received, release.delay_seconds)
        logger.info("job released", action="job_released", delay_seconds=release.delay_seconds)

    def _load_prompt(self, attempt: _Attempt) -> Mapping[str, Any]:
        """Return the prompt. Raises ExecutorLostError, ExecutionStoppedError and OutageError."""
        message = attempt.received.message
        if message.prompt is not None:
            return message.prompt
        waiter = self._waiter(attempt, "the store of prompts", _MAX_PROMPT_WAIT_SECONDS, attempt.must_stop)
        (stored,) = map_in_threads(
            lambda key: waiter.call(lambda: self._read_prompt(key)),
            [str(message.prompt_key)],
            threads=1,
            must_stop=attempt.must_stop,
        )
        prompt: dict[str, Any] = json.loads(stored)
        return prompt

    def _read_prompt(self, key: str) -> bytes:
        try:
            return self._objects.get(key)
        except KeyError:
            raise ExecutorLostError(
                "The job's prompt is no longer stored; the job waited longer than prompts are retained."
            ) from None

    def _comfyui_available(self) -> bool:
        try:
            self._comfyui.system_stats()
        except ComfyUIUnreachableError as error:
            logger.warning("comfyui unreachable", action="comfyui_unreachable", reason=error.message)
            return False
        return not self._monitor.stuck

    def _change_visibility(self, received: ReceivedJob, seconds: int) -> None:
        try:
            self._queue.change_visibility(received, seconds)
        except Exception as error:  # noqa: BLE001  it becomes visible anyway after its visibility timeout
            logger.warning(
                "visibility timeout not changed", action="visibility_not_changed", reason=type(error).__name__
            )


def _readable_size(size: int) -> str:
    """Return a size in bytes as MB, or as KB below 1 MB."""
    return f"{size / 1_000_000:.1f} MB" if size >= 1_000_000 else f"{size / 1_000:.1f} KB"  # noqa: PLR2004  1 MB


def _backoff_seconds(failures: int) -> int:
    """Return an exponential backoff of 2, 4, 8 … seconds, with up to 50 % jitter."""
    seconds: float = min(_BACKOFF_SECONDS * 2 ** (failures - 1), _MAX_BACKOFF_SECONDS)
    return round(seconds * random.uniform(1, 1.5))  # noqa: S311  jitter need not be unpredictable
