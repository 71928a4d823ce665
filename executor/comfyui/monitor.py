"""Wait for prompts on ComfyUI to finish, and cancel those that must not continue.

    WebSocket event, or half a second ─▶ history? ──▶ return its entry
      ▲                                     │ no entry yet
      └── must stop? prompt lost? ◀─────────┘
          waiting: queue timeout? behind a stuck prompt?
          running: timeout? silent?

A prompt is stuck when it keeps running after ComfyUI was asked to cancel it: its node ignores interrupts, or ComfyUI's
worker thread is dead, which HTTP does not show. Until it is gone, that ComfyUI runs nothing else.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from executor.comfyui.errors.advice import inputs_to_reduce
from gateway.errors import ComfyUISilentError, ComfyUITimeoutError, ComfyUIUnreachableError, GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.comfyui.client import ComfyUIClient, ComfyUIQueue
    from executor.comfyui.history import HistoryEntry
    from executor.comfyui.progress import PromptProgress
    from executor.comfyui.websocket import ProgressSocket
    from gateway.ports import Clock

_POLL_SECONDS = 0.5
_QUEUE_POLL_SECONDS = 2.0
# The history entry appears up to 0.4 s (measured) after an execution finishes.
_HISTORY_LAG_POLL_SECONDS = 0.01
_HISTORY_LAG_SECONDS = 1.0
_CANCEL_RETRY_SECONDS = 0.5
_CANCEL_TIMEOUT_SECONDS = 5.0
# How long ComfyUI may be unreachable before the attempt ends. One that accepts connections but does not respond gets
# more time: it reads a large model, or its host swaps, and another executor would run the same job next to it.
_UNREACHABLE_SECONDS = 10.0
_SILENT_SECONDS = 60.0
# After ComfyUI responds again: by then the job's message is visible again, and this executor receives again.
_ABANDONED_GRACE_SECONDS = 15.0


class ExecutionStoppedError(GatewayError):
    """The caller asked to stop the execution. The prompt is canceled on ComfyUI, or stuck there."""


class PromptLostError(ComfyUIUnreachableError):
    """ComfyUI responds but does not know the prompt: it was restarted, or someone cleared its queue."""

    def __init__(self) -> None:
        super().__init__(
            "ComfyUI lost the prompt; it was probably restarted.",
            "Check ComfyUI's log for the reason. If its host ran out of memory, use smaller images or batches.",
        )


class QueueTimeoutError(ComfyUITimeoutError):
    """The prompt waited too long in ComfyUI's own queue, behind prompts of others. Another ComfyUI may run it."""

    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTimeLimits:
    """The time limits of a prompt: running, running without an event, and waiting in ComfyUI's queue."""

    run_seconds: float
    silent_seconds: float
    queue_seconds: float


class PromptMonitor:
    """Monitors the prompts of one ComfyUI; safe to use from several threads."""

    def __init__(
        self,
        *,
        comfyui: ComfyUIClient,
        socket: ProgressSocket,
        limits: PromptTimeLimits,
        lease_seconds: int,
        clock: Clock,
    ) -> None:
        self._comfyui = comfyui
        self._lease_seconds = lease_seconds
        self._started = False
        self._socket = socket
        self._limits = limits
        self._clock = clock
        self._abandoned = _AbandonedPrompts(clock)
        self._stuck_hopeless_at: dict[str, float] = {}  # by prompt id: from then on it will not finish by itself

    @property
    def stuck(self) -> bool:
        """Whether ComfyUI had a stuck prompt when it was last checked."""
        return bool(self._stuck_hopeless_at)

    def wait(self, prompt_id: str, progress: PromptProgress, must_stop: Callable[[], bool]) -> HistoryEntry:
        """Wait until a prompt that is on ComfyUI has finished, and return its history entry.

        `must_stop` is called whenever `progress` has changed, and at every poll. Raises ExecutionStoppedError when it
        returned True, and a JobFailedError when ComfyUI does not finish the prompt.
        """
        self._abandoned.discard(prompt_id)
        try:
            return self._wait(prompt_id, progress, must_stop)
        except ComfyUIUnreachableError:
            self._abandoned.add(prompt_id)
            raise

    def abandon(self, prompt_id: str) -> None:
        """Cancel a prompt that may be on ComfyUI, or may still arrive there, unless an attempt resumes it soon."""
        self._abandoned.add(prompt_id)

    def clean_up(self) -> None:
        """Forget stuck prompts that are gone by now, and cancel abandoned ones. Raises ComfyUIUnreachableError.

        The first call finds what an executor that was killed has left on this ComfyUI: it is the first response of
        ComfyUI, before this executor receives jobs.
        """
        if not self._started:
            for prompt_id in self._comfyui.executors_prompts():
                # Their jobs can be claimed when their leases have expired.
                self._abandoned.add(prompt_id, grace_seconds=self._lease_seconds + _ABANDONED_GRACE_SECONDS)
            self._started = True
        if self._stuck_hopeless_at or self._abandoned:
            queue = self._comfyui.queue()
            for prompt_id in tuple(self._stuck_hopeless_at):
                if prompt_id not in queue:
                    del self._stuck_hopeless_at[prompt_id]
            for prompt_id in self._abandoned.expired(queue):
                self._comfyui.cancel(prompt_id)

    def _wait(self, prompt_id: str, progress: PromptProgress, must_stop: Callable[[], bool]) -> HistoryEntry:
        timing = _Timing(self._clock)
        while True:
            if progress.changed.wait(timing.poll_seconds):
                progress.changed.clear()
                timing.changed_at = self._clock.monotonic()
            if must_stop():
                self._cancel(prompt_id)
            entry = self._poll(prompt_id, progress, timing)
            if entry is not None:
                return entry
            if not progress.started:
                self._cancel_if_blocked(prompt_id)
                if timing.queued_seconds > self._limits.queue_seconds:
                    self._queue_timeout(prompt_id, progress)
            elif timing.running_seconds > self._limits.run_seconds:
                self._run_timeout(prompt_id, progress)
            elif self._socket.silent_seconds(progress) > self._limits.silent_seconds:
                self._silence_timeout(prompt_id)

    def _poll(self, prompt_id: str, progress: PromptProgress, timing: _Timing) -> HistoryEntry | None:
        """Read the prompt's history entry and, every few seconds, check that ComfyUI still has the prompt.

        Raises PromptLostError, and ComfyUIUnreachableError when ComfyUI has been unreachable for too long.
        """
        try:
            entry = self._comfyui.history(prompt_id)
            timing.responded_at = self._clock.monotonic()
            if entry is None and timing.responded_at >= timing.poll_queue_at:
                timing.poll_queue_at = timing.responded_at + _QUEUE_POLL_SECONDS
                progress.started = self._is_running(prompt_id) or progress.started
        except PromptLostError:
            raise
        except ComfyUIUnreachableError as error:
            tolerated_seconds = _SILENT_SECONDS if isinstance(error, ComfyUISilentError) else _UNREACHABLE_SECONDS
            if self._clock.monotonic() - timing.responded_at > tolerated_seconds:
                raise
            return None
        return entry

    def _is_running(self, prompt_id: str) -> bool:
        """Return whether the prompt is running. Raises PromptLostError when ComfyUI does not know it."""
        queue = self._comfyui.queue()
        if prompt_id in queue or self._comfyui.history(prompt_id) is not None:
            return prompt_id in queue.running
        raise PromptLostError

    def _run_timeout(self, prompt_id: str, progress: PromptProgress) -> None:
        """Cancel a prompt that runs for too long. Raises ComfyUITimeoutError, unless it has just finished."""
        try:
            self._cancel(prompt_id)
        except ExecutionStoppedError:
            if prompt_id in self._stuck_hopeless_at:  # another ComfyUI may well finish it in time
                raise _hung() from None
            inputs = inputs_to_reduce(progress.inputs, progress.prompt, for_memory=False)
            raise ComfyUITimeoutError(
                f"The execution exceeded the time limit of {self._limits.run_seconds:g} s.",
                f"Reduce {inputs}; or raise COMFYUI_TIMEOUT_MS on the executor.",
            ) from None

    def _silence_timeout(self, prompt_id: str) -> None:
        """Cancel a running prompt without events. A hanging node stops then; a dead worker thread does not."""
        try:
            self._cancel(prompt_id)
        except ExecutionStoppedError:
            if prompt_id not in self._stuck_hopeless_at:
                raise ComfyUITimeoutError(
                    f"The execution made no progress for {self._limits.silent_seconds:g} s.",
                    "If one of its nodes works that long without reporting progress, raise COMFYUI_STALL_MS on the"
                    " executor.",
                ) from None
            self._stuck_hopeless_at[prompt_id] = self._clock.monotonic()
            raise _hung() from None

    def _cancel_if_blocked(self, prompt_id: str) -> None:
        """Cancel a waiting prompt when the prompt that runs before it will never finish."""
        if any(self._clock.monotonic() > hopeless_at for hopeless_at in tuple(self._stuck_hopeless_at.values())):
            self._comfyui.cancel(prompt_id)
            raise _hung()

    def _queue_timeout(self, prompt_id: str, progress: PromptProgress) -> None:
        """Cancel a prompt that waits for too long; one that has just started continues. Raises QueueTimeoutError."""
        self._comfyui.cancel_pending(prompt_id)
        progress.started = prompt_id in self._comfyui.queue().running
        if not progress.started and self._comfyui.history(prompt_id) is None:
            raise QueueTimeoutError(
                f"The prompt waited in ComfyUI's own queue for {self._limits.queue_seconds:g} s and did not start.",
                "Other prompts keep this ComfyUI busy: reduce them, start more executors, or raise "
                "COMFYUI_QUEUE_TIMEOUT_MS on the executor.",
            )

    def _cancel(self, prompt_id: str) -> None:
        """Cancel the prompt on ComfyUI, with retries. Returns normally when it finished by itself meanwhile.

        Raises ExecutionStoppedError once the prompt is gone, and when it is stuck.
        """
        deadline = self._clock.monotonic() + _CANCEL_TIMEOUT_SECONDS
        while self._clock.monotonic() < deadline:
            self._comfyui.cancel(prompt_id)
            entry = self._comfyui.history(prompt_id)
            if entry is not None and not entry.interrupted:
                return
            if entry is not None or prompt_id not in self._comfyui.queue():
                raise ExecutionStoppedError("The execution was stopped.")
            self._clock.sleep(_CANCEL_RETRY_SECONDS)
        self._stuck_hopeless_at[prompt_id] = self._clock.monotonic() + self._limits.silent_seconds
        raise ExecutionStoppedError("The execution does not stop. This ComfyUI gets no jobs until it has stopped.")


def _hung() -> ComfyUIUnreachableError:
    return ComfyUIUnreachableError(
        "ComfyUI hangs: it responds but no longer runs prompts.", "Restart this ComfyUI. It gets no jobs until then."
    )


class _Timing:
    """Instants and durations, on the monotonic clock, of waiting for one prompt."""

    def __init__(self, clock: Clock) -> None:
        now = clock.monotonic()
        self._clock = clock
        self._queued_at = now
        self._started_at: float | None = None
        self.responded_at = now
        self.poll_queue_at = now + _QUEUE_POLL_SECONDS
        self.changed_at = now - _HISTORY_LAG_SECONDS

    @property
    def poll_seconds(self) -> float:
        """How long to wait until the next poll: very short right after an event, as the history lags behind."""
        is_recent = self._clock.monotonic() - self.changed_at < _HISTORY_LAG_SECONDS
        return _HISTORY_LAG_POLL_SECONDS if is_recent else _POLL_SECONDS

    @property
    def queued_seconds(self) -> float:
        """How long the prompt has been on ComfyUI."""
        return self._clock.monotonic() - self._queued_at

    @property
    def running_seconds(self) -> float:
        """How long the prompt has been running; the first call counts as its start."""
        self._started_at = self._started_at or self._clock.monotonic()
        return self._clock.monotonic() - self._started_at


class _AbandonedPrompts:
    """Prompts that may still run although no attempt waits for them, because ComfyUI was unreachable.

    abandoned ──ComfyUI responds again──▶ an attempt of the job resumes it: no longer abandoned
                                     └──▶ none does within the grace period: expired, to be canceled
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._cancel_at: dict[str, float | None] = {}  # None: ComfyUI has not responded since

    def __bool__(self) -> bool:
        return bool(self._cancel_at)

    def add(self, prompt_id: str, *, grace_seconds: float | None = None) -> None:
        """Add a prompt that no attempt waits for. Without a grace period, it begins when ComfyUI responds again."""
        with self._lock:
            self._cancel_at[prompt_id] = None if grace_seconds is None else self._clock.monotonic() + grace_seconds

    def discard(self, prompt_id: str) -> None:
        """Remove a prompt because an attempt waits for it again."""
        with self._lock:
            self._cancel_at.pop(prompt_id, None)

    def expired(self, queue: ComfyUIQueue) -> list[str]:
        """Return the prompts whose grace period is over; call this regularly with ComfyUI's current queue."""
        now = self._clock.monotonic()
        expired = []
        with self._lock:
            for prompt_id, cancel_at in tuple(self._cancel_at.items()):
                if cancel_at is None:
                    self._cancel_at[prompt_id] = now + _ABANDONED_GRACE_SECONDS
                elif now > cancel_at:
                    # Only now: a prompt that was submitted without a response can arrive late.
                    if prompt_id in queue:
                        expired.append(prompt_id)
                    else:
                        del self._cancel_at[prompt_id]
        return expired
