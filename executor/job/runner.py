"""One job, from its message to its end.

    claim ─▶ execute on ComfyUI ─▶ (GPU free) ─▶ outputs to the store ─▶ terminal write ─▶ event ─▶ ack

The order is what makes a crash harmless: at every point either the message comes back and the next
attempt goes on, or the job has ended and only the event and the ack are left to repeat.
"""

from __future__ import annotations

import json
import math
import random
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from executor.comfyui.monitor import ExecutionStoppedError
from executor.comfyui.progress import PromptProgress
from executor.job.lease import Lease
from executor.job.output_prefix import with_own_prefix
from executor.job.privacy import HistoryScrubber
from executor.job.progress_log import JobLog
from executor.log import log_context, logger
from gateway.domain.job import JobEnd, JobFailure, JobStatus, LogLevel
from gateway.domain.job_errors import JobNotClaimableError
from gateway.errors import (
    ComfyUIUnreachableError,
    ExecutorLostError,
    JobFailedError,
    LeaseLostError,
    OutputGoneError,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from executor.comfyui.client import ComfyUI
    from executor.comfyui.execution import Execution
    from executor.comfyui.history import Record
    from executor.comfyui.monitor import PromptMonitor
    from executor.job.finisher import JobFinisher
    from executor.job.outputs import OutputCollector
    from gateway.domain.job import Job, Output
    from gateway.ports import JobQueue, JobStore, ObjectStore, ReceivedJob

_BACKOFF_SECONDS = 2
_LONGEST_BACKOFF_SECONDS = 60


class Runner:
    """Runs jobs, one per call and thread."""

    def __init__(  # noqa: PLR0913  the ports one job touches
        self,
        *,
        executor_id: str,
        jobs: JobStore,
        queue: JobQueue,
        objects: ObjectStore,
        ending: JobFinisher,
        comfyui: ComfyUI,
        execution: Execution,
        overseer: PromptMonitor,
        outputs: OutputCollector,
        max_attempts: int,
        lease_seconds: int,
        stopping: threading.Event,
        on_run: Callable[[int], None],
        now: Callable[[], datetime],
    ) -> None:
        self._executor_id = executor_id
        self._jobs = jobs
        self._queue = queue
        self._objects = objects
        self._ending = ending
        self._comfyui = comfyui
        self._execution = execution
        self._overseer = overseer
        self._outputs = outputs
        self._max_attempts = max_attempts
        self._lease_seconds = lease_seconds
        self._stopping = stopping
        self._on_run = on_run  # told how many milliseconds each run took
        self._now = now  # AWS's present
        self._watches: set[PromptProgress] = set()
        self._traces = HistoryScrubber(comfyui)

    def stop_running(self) -> None:
        """Take every running prompt off ComfyUI and give its job back. The flag `stopping` is set by now."""
        for watch in tuple(self._watches):
            watch.news.set()

    def run(self, received: ReceivedJob, on_gpu_free: Callable[[], None]) -> None:
        """Run the job of a message. Calls `on_gpu_free` once, as soon as ComfyUI is done with it. Raises nothing."""
        message = received.message
        with log_context(private=message.private, job_id=message.job_id, correlation_id=message.correlation_id):
            try:
                self._run(received, on_gpu_free)
            except LeaseLostError:
                # Somebody else has the job by now, or it has ended; its message is not ours to touch.
                logger.warning("lease lost", action="lease_lost")
            except Exception:  # noqa: BLE001  whatever it was: the job goes on with the next attempt
                logger.exception("attempt broke off", action="attempt_broken")
                self._change_visibility(received, _backoff(received.receive_count))
            finally:
                on_gpu_free()

    def _run(self, received: ReceivedJob, on_gpu_free: Callable[[], None]) -> None:
        if not self._comfyui_works():
            self._change_visibility(received, _BACKOFF_SECONDS)
            return
        now = self._now()
        lease_until = now + timedelta(seconds=self._lease_seconds)
        try:
            job = self._jobs.claim(
                received.message.job_id, executor_id=self._executor_id, now=now, lease_until=lease_until
            )
        except JobNotClaimableError as refused:
            self._leave(received, refused.job)
            return
        # A line for each job is money; the job's own log has this one, too.
        tell = logger.info if job.attempt > 1 else logger.debug
        tell("job claimed", action="job_claimed", attempt=job.attempt)
        log = JobLog(job.log, self._now)
        log.add(f"Taken by executor {self._executor_id}, attempt {job.attempt}.")
        try:
            end = self._attempt(job, received, log, on_gpu_free)
            if end is None:
                return
            ended = self._ending.write(job, replace(end, log=log.lines))
        except Exception:
            # The next attempt need not wait until the lease runs out; when even this fails, it has to.
            with suppress(Exception):
                self._jobs.release(job, log.lines)
            raise
        logger.info(
            "job ended",
            action="job_ended",
            status=ended.status,
            execution_ms=ended.execution_ms,
            error=ended.error.code if ended.error else None,
        )
        self._ending.keep_result(job.cache_key, ended)
        self._ending.announce(ended)
        self._queue.delete(received)
        if ended.private:
            self._traces.remove(ended)
        if ended.execution_ms is not None:
            self._on_run(ended.execution_ms)

    def _leave(self, received: ReceivedJob, job: Job | None) -> None:
        """Deal with a message whose job cannot be claimed.

        A message of a job that somebody holds is not deleted, though it mostly is a second one that came of a repeated
        request. It can just as well be the holder's own, and the only one:

            A claims ─▶ cannot reach SQS, its message turns visible ─▶ B receives it, and would delete it
              ─▶ A dies: nothing is left that would bring the job to another executor
        """
        if job is None or job.status.ended:
            if job is not None:
                # Whoever ended it may have crashed before saying so.
                self._ending.announce(job)
                self._discard_prompts(job)
                if job.private:
                    self._traces.remove(job)
            self._queue.delete(received)
        else:
            # Somebody holds it. Look again when its lease, as it stands, will have run out.
            until = job.lease_expires_at
            left = self._lease_seconds if until is None else math.ceil((until - self._now()).total_seconds())
            self._change_visibility(received, min(max(left, 1), self._lease_seconds))

    def _discard_prompts(self, job: Job) -> None:
        """Take off ComfyUI what executors that died left there of a job that is not to run any more."""
        try:
            self._execution.discard(job)
        except ComfyUIUnreachableError as error:
            logger.warning("prompts not discarded", action="prompts_not_discarded", reason=error.message)

    def _attempt(self, job: Job, received: ReceivedJob, log: JobLog, on_gpu_free: Callable[[], None]) -> JobEnd | None:
        """Execute and store. Returns the job's end, or None when the job was given back."""
        if job.cancel_requested:
            self._discard_prompts(job)
            return JobEnd(status=JobStatus.CANCELED, completed_at=self._now())
        if job.counted_attempts > self._max_attempts:
            self._discard_prompts(job)
            return self._failed(ExecutorLostError(f"Gave up after {self._max_attempts} attempts that broke off."))
        try:
            return self._execute(job, received, log, on_gpu_free)
        except JobFailedError as failure:
            return self._retry_or_fail(job, received, failure, log)

    def _execute(self, job: Job, received: ReceivedJob, log: JobLog, on_gpu_free: Callable[[], None]) -> JobEnd | None:
        if job.private:
            self._traces.warn()
        prompt = with_own_prefix(self._prompt(received), job)
        watch = PromptProgress(prompt, None if job.private else job.inputs or {}, log)
        self._watches.add(watch)
        try:
            lease = Lease(
                job=job,
                received=received,
                jobs=self._jobs,
                queue=self._queue,
                watch=watch,
                seconds=self._lease_seconds,
                now=self._now,
            )
            with lease:
                record = self._execution.run(
                    job, watch, lambda: lease.cancel_requested or lease.lost or self._stopping.is_set()
                )
                on_gpu_free()
                outputs = self._store(job, record)
        except ExecutionStoppedError as stopped:
            # Only now: a renewal that is still under way would take the lease back after it was given.
            return self._stopped(job, received, lease, stopped, log)
        except JobFailedError as failure:
            if not lease.cancel_requested:
                raise
            log.add(f"A cancel was requested. {failure.message}")
            return JobEnd(status=JobStatus.CANCELED, completed_at=self._now())
        finally:
            self._watches.discard(watch)
        stored_mb = sum(output.size for output in outputs) / 1_000_000
        log.add(f"Stored {len(outputs)} output{'s' if len(outputs) > 1 else ''}, {stored_mb:.1f} MB.")
        return JobEnd(
            status=JobStatus.SUCCEEDED,
            completed_at=self._now(),
            execution_ms=record.execution_ms,
            outputs=outputs,
        )

    def _store(self, job: Job, record: Record) -> tuple[Output, ...]:
        try:
            return self._outputs.store(job, record.outputs)
        except OutputGoneError:
            self._execution.forget(record)
            raise

    def _stopped(
        self, job: Job, received: ReceivedJob, lease: Lease, stopped: ExecutionStoppedError, log: JobLog
    ) -> JobEnd | None:
        if lease.lost:
            raise LeaseLostError
        if lease.cancel_requested:
            log.add(f"A cancel was requested. {stopped.message}")
            return JobEnd(status=JobStatus.CANCELED, completed_at=self._now())
        log.add("Given back: this executor stops.")
        self._release(job, received, 0, log, count_attempt=False)
        return None

    def _retry_or_fail(self, job: Job, received: ReceivedJob, failure: JobFailedError, log: JobLog) -> JobEnd | None:
        if not failure.retryable or job.counted_attempts >= self._max_attempts:
            return self._failed(failure)
        logger.warning("attempt failed", action="attempt_failed", error=failure.code, reason=failure.message)
        seconds = _backoff(job.counted_attempts)
        log.add(f"{failure.code}: {failure.message} Trying again in {seconds} s.", level=LogLevel.WARNING)
        self._release(job, received, seconds, log)
        return None

    def _failed(self, failure: JobFailedError) -> JobEnd:
        return JobEnd(status=JobStatus.FAILED, completed_at=self._now(), error=JobFailure.of(failure))

    def _release(
        self, job: Job, received: ReceivedJob, seconds: int, log: JobLog, *, count_attempt: bool = True
    ) -> None:
        self._jobs.release(job, log.lines, count_attempt=count_attempt)
        self._change_visibility(received, seconds)
        logger.info("job given back", action="job_given_back", again_in_seconds=seconds)

    def _prompt(self, received: ReceivedJob) -> Mapping[str, Any]:
        message = received.message
        if message.prompt is not None:
            return message.prompt
        try:
            stored = self._objects.get(str(message.prompt_key))
        except KeyError:
            raise ExecutorLostError("The job's prompt is no longer stored; it waited longer than it is kept.") from None
        prompt: dict[str, Any] = json.loads(stored)
        return prompt

    def _comfyui_works(self) -> bool:
        try:
            self._comfyui.state()
        except ComfyUIUnreachableError as error:
            logger.warning("ComfyUI does not answer", action="comfyui_unreachable", reason=error.message)
            return False
        return not self._overseer.stuck

    def _change_visibility(self, received: ReceivedJob, seconds: int) -> None:
        try:
            self._queue.change_visibility(received, seconds)
        except Exception as error:  # noqa: BLE001  it comes back by itself when its visibility runs out
            logger.warning("message not given back", action="message_not_hidden", reason=type(error).__name__)


def _backoff(tries: int) -> int:
    """Wait 2, 4, 8 … seconds, up to half as long again."""
    seconds: float = min(_BACKOFF_SECONDS * 2 ** (tries - 1), _LONGEST_BACKOFF_SECONDS)
    return round(seconds * random.uniform(1, 1.5))  # noqa: S311  no secret hangs on it
