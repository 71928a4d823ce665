"""Waiting for the end of prompts on ComfyUI, and taking off it what is not to go on.

    news from the socket, or half a second ─▶ history? ─▶ its record
      ▲                                          │ none
      └── canceled? lost? ◀──────────────────────┘
          waits: too long? behind what hangs?
          runs: too long? silent?

A prompt is stuck when ComfyUI was told to stop it and goes on: its node heeds no interrupt, or its worker thread is
dead, which HTTP does not show. Until it is gone nothing else runs there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from executor.comfyui.abandoned import AbandonedPrompts
from executor.comfyui.errors.advice import time_inputs
from gateway.errors import ComfyUISilentError, ComfyUITimeoutError, ComfyUIUnreachableError, GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.comfyui.client import ComfyUI
    from executor.comfyui.history import Record
    from executor.comfyui.progress import PromptProgress
    from executor.comfyui.websocket import ProgressSocket

_POLL_SECONDS = 0.5
_QUEUE_LOOK_SECONDS = 2.0
# The history follows the end of an execution with a delay, up to 0.4 s as seen.
_HISTORY_LAG_POLL_SECONDS = 0.01
_HISTORY_LAG_SECONDS = 1.0
_REMOVE_AGAIN_SECONDS = 0.5
_REMOVE_GIVE_UP_SECONDS = 5.0
# ComfyUI is given this long to come back while a prompt is on it, before the attempt ends. One that is there and says
# nothing goes on: it reads a large model, or its host swaps, and another executor would run the same job beside it.
_UNREACHABLE_SECONDS = 10.0
_SILENT_SECONDS = 60.0


class ExecutionStoppedError(GatewayError):
    """The execution was stopped because its caller said so; the prompt is off ComfyUI, or stuck there."""


class PromptLostError(ComfyUIUnreachableError):
    """ComfyUI answers, but knows nothing of the prompt: it was restarted, or somebody cleared its queue."""

    def __init__(self) -> None:
        super().__init__(
            "ComfyUI lost the prompt; it was probably restarted.",
            "Look in ComfyUI's log why: often its host ran out of memory, which smaller images or batches prevent.",
        )


class QueueTimeoutError(ComfyUITimeoutError):
    """The prompt waited too long in ComfyUI's own queue, where others' prompts are; it can go to another one."""

    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a prompt may take: to run, counted from its start; to be silent then; to wait before, in the queue."""

    run_seconds: float
    silent_seconds: float
    wait_seconds: float


class _Times:
    """The instants, on the monotonic clock, that waiting for one prompt goes by."""

    def __init__(self) -> None:
        now = time.monotonic()
        self.answered_at = now
        self.look_at = now + _QUEUE_LOOK_SECONDS
        self.news_at = now - _HISTORY_LAG_SECONDS
        self._queued_at = now
        self._started_at: float | None = None

    @property
    def pause_seconds(self) -> float:
        """How long to wait before asking again: hardly, just after news."""
        lagging = time.monotonic() - self.news_at < _HISTORY_LAG_SECONDS
        return _HISTORY_LAG_POLL_SECONDS if lagging else _POLL_SECONDS

    @property
    def queued_seconds(self) -> float:
        """How long the prompt has been on ComfyUI."""
        return time.monotonic() - self._queued_at

    @property
    def running_seconds(self) -> float:
        """How long the prompt has been running; the first call counts as its start."""
        self._started_at = self._started_at or time.monotonic()
        return time.monotonic() - self._started_at


class PromptMonitor:
    """Oversees the prompts of one ComfyUI; safe to use from several threads."""

    def __init__(self, comfyui: ComfyUI, events: ProgressSocket, limits: Limits) -> None:
        self._comfyui = comfyui
        self._events = events
        self._limits = limits
        self._abandoned = AbandonedPrompts()
        self._stuck: dict[str, float] = {}  # prompts, and from when on there is no hope that they go by themselves

    def wait(self, prompt_id: str, watch: PromptProgress, must_stop: Callable[[], bool]) -> Record:
        """Wait for the end of a prompt that ComfyUI has.

        `must_stop` is asked whenever there is news. Raises ExecutionStoppedError when it said so, and a JobFailedError
        when ComfyUI does not bring the prompt to an end.
        """
        self._abandoned.take_up(prompt_id)
        try:
            return self._wait(prompt_id, watch, must_stop)
        except ComfyUIUnreachableError:
            self._abandoned.leave(prompt_id)
            raise

    def _wait(self, prompt_id: str, watch: PromptProgress, must_stop: Callable[[], bool]) -> Record:
        times = _Times()
        while True:
            if watch.news.wait(times.pause_seconds):
                watch.news.clear()
                times.news_at = time.monotonic()
            if must_stop():
                self._remove(prompt_id)
            record = self._ask(prompt_id, watch, times)
            if record is not None:
                return record
            if not watch.started:
                self._leave_if_hopeless(prompt_id)
                if times.queued_seconds > self._limits.wait_seconds:
                    self._leave_queue(prompt_id, watch)
            elif times.running_seconds > self._limits.run_seconds:
                self._time_out(prompt_id, watch)
            elif self._events.silent_seconds(watch) > self._limits.silent_seconds:
                self._break_silence(prompt_id)

    @property
    def stuck(self) -> bool:
        """Whether ComfyUI has a prompt that it was told to stop, as far as it was looked at."""
        return bool(self._stuck)

    def look_after_left(self) -> None:
        """See which prompts that were stuck are gone, and take off those that nobody wants.

        Raises ComfyUIUnreachableError.
        """
        if self._stuck or self._abandoned:
            queue = self._comfyui.queue()
            for prompt_id in tuple(self._stuck):
                if prompt_id not in queue:
                    del self._stuck[prompt_id]
            self._abandoned.take_off(self._comfyui, queue)

    def _ask(self, prompt_id: str, watch: PromptProgress, times: _Times) -> Record | None:
        """Ask for the prompt's record and, now and then, whether ComfyUI still has it at all."""
        try:
            record = self._comfyui.history(prompt_id)
            times.answered_at = time.monotonic()
            if record is None and times.answered_at >= times.look_at:
                times.look_at = times.answered_at + _QUEUE_LOOK_SECONDS
                watch.started = self._look(prompt_id) or watch.started
        except PromptLostError:
            raise
        except ComfyUIUnreachableError as error:
            patience = _SILENT_SECONDS if isinstance(error, ComfyUISilentError) else _UNREACHABLE_SECONDS
            if time.monotonic() - times.answered_at > patience:
                raise
            return None
        return record

    def _look(self, prompt_id: str) -> bool:
        """Tell whether the prompt runs. Raises PromptLostError when ComfyUI has lost it."""
        queue = self._comfyui.queue()
        if prompt_id in queue or self._comfyui.history(prompt_id) is not None:
            return prompt_id in queue.running
        raise PromptLostError

    def _time_out(self, prompt_id: str, watch: PromptProgress) -> None:
        try:
            self._remove(prompt_id)
        except ExecutionStoppedError:
            if prompt_id in self._stuck:  # another ComfyUI may well finish it in time
                raise _hung() from None
            raise ComfyUITimeoutError(
                f"The execution took longer than the {self._limits.run_seconds:g} s it may take.",
                f"Lower {time_inputs(watch.inputs, watch.prompt)}; or raise COMFYUI_TIMEOUT_MS on the executor.",
            ) from None

    def _break_silence(self, prompt_id: str) -> None:
        """Stop a prompt of which nothing is heard: a node that hangs ends with that, a dead worker thread does not."""
        try:
            self._remove(prompt_id)
        except ExecutionStoppedError:
            if prompt_id not in self._stuck:
                raise ComfyUITimeoutError(
                    f"The execution did nothing for {self._limits.silent_seconds:g} s.",
                    "If a node of it works for so long without a sign, raise COMFYUI_STALL_MS on the executor.",
                ) from None
            self._stuck[prompt_id] = time.monotonic()
            raise _hung() from None

    def _leave_if_hopeless(self, prompt_id: str) -> None:
        """Take a waiting prompt back when what runs before it will never end."""
        if any(time.monotonic() > hopeless_at for hopeless_at in tuple(self._stuck.values())):
            self._comfyui.remove(prompt_id)
            raise _hung()

    def _leave_queue(self, prompt_id: str, watch: PromptProgress) -> None:
        """Take a prompt back that has waited too long; one that has begun meanwhile goes on."""
        self._comfyui.remove_waiting(prompt_id)
        watch.started = prompt_id in self._comfyui.queue().running
        if not watch.started and self._comfyui.history(prompt_id) is None:
            raise QueueTimeoutError(
                f"The prompt waited in ComfyUI's own queue for {self._limits.wait_seconds:g} s, and did not begin.",
                "Something else keeps this ComfyUI busy: give it less to do, start more executors, or raise "
                "COMFYUI_QUEUE_TIMEOUT_MS on the executor.",
            )

    def _remove(self, prompt_id: str) -> None:
        """Take the prompt off ComfyUI, as often as it takes. Returns when it ended by itself meanwhile.

        Raises ExecutionStoppedError once it is gone, and when it is stuck.
        """
        deadline = time.monotonic() + _REMOVE_GIVE_UP_SECONDS
        while time.monotonic() < deadline:
            self._comfyui.remove(prompt_id)
            record = self._comfyui.history(prompt_id)
            if record is not None and not record.interrupted:
                return
            if record is not None or prompt_id not in self._comfyui.queue():
                raise ExecutionStoppedError("The execution was stopped.")
            time.sleep(_REMOVE_AGAIN_SECONDS)
        self._stuck[prompt_id] = time.monotonic() + self._limits.silent_seconds
        raise ExecutionStoppedError("The execution does not stop; ComfyUI is left alone until it has.")


def _hung() -> ComfyUIUnreachableError:
    return ComfyUIUnreachableError(
        "ComfyUI hangs: it answers, but no longer works.", "Restart this ComfyUI; it gets no jobs until then."
    )
