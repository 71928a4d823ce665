"""One prompt on ComfyUI, from submission to its record in the history.

left by an earlier attempt? ──yes──┐
 │ no                              ▼
 └─▶ submit ─▶ wait: news from the socket, or half a second ─▶ history? ─▶ the result
                  ▲                                              │ none
                  └── canceled? time up? silent? lost? ◀─────────┘

A prompt is stuck when ComfyUI was told to stop it and goes on: its node heeds no interrupt, or its worker thread is
dead, which HTTP does not show. Until it is gone nothing else runs there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from executor.failures import execution_failure, interrupted_elsewhere
from gateway.errors import ComfyUITimeoutError, ComfyUIUnreachableError, GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from executor.comfyui import ComfyUI
    from executor.events import EventStream, Watch
    from gateway.domain.job import Priority

_POLL_SECONDS = 0.5
_QUEUE_LOOK_SECONDS = 2.0
# The history follows the end of an execution with a delay, up to 0.4 s as seen.
_HISTORY_LAG_POLL_SECONDS = 0.01
_HISTORY_LAG_SECONDS = 1.0
_REMOVE_AGAIN_SECONDS = 0.5
_REMOVE_GIVE_UP_SECONDS = 5.0
# ComfyUI is given this long to come back while a prompt is on it, before the attempt ends.
_UNREACHABLE_SECONDS = 10.0


class ExecutionStoppedError(GatewayError):
    """The execution was stopped because its caller said so; the prompt is off ComfyUI, or stuck there."""


class PromptLostError(ComfyUIUnreachableError):
    """ComfyUI answers, but knows nothing of the prompt: it was restarted, or somebody cleared its queue."""

    def __init__(self) -> None:
        super().__init__("ComfyUI lost the prompt; it was probably restarted.")


@dataclass(frozen=True, slots=True)
class Result:
    """What a successful execution left: ComfyUI's outputs by node, and how long it took."""

    prompt_id: str
    outputs: Mapping[str, Any]
    execution_ms: int | None


class _Times:
    """The instants, on the monotonic clock, that waiting for one prompt goes by."""

    def __init__(self) -> None:
        now = time.monotonic()
        self.answered_at = now
        self.look_at = now + _QUEUE_LOOK_SECONDS
        self.news_at = now - _HISTORY_LAG_SECONDS
        self._started_at: float | None = None

    @property
    def pause_seconds(self) -> float:
        """How long to wait before asking again: hardly, just after news."""
        lagging = time.monotonic() - self.news_at < _HISTORY_LAG_SECONDS
        return _HISTORY_LAG_POLL_SECONDS if lagging else _POLL_SECONDS

    @property
    def running_seconds(self) -> float:
        """How long the prompt has been running; the first call counts as its start."""
        self._started_at = self._started_at or time.monotonic()
        return time.monotonic() - self._started_at


class Execution:
    """Runs prompts on one ComfyUI.

    `timeout_seconds` counts from an execution's start, `stall_seconds` from the last that was heard of it.
    """

    def __init__(self, comfyui: ComfyUI, events: EventStream, timeout_seconds: float, stall_seconds: float) -> None:
        self._comfyui = comfyui
        self._events = events
        self._timeout_seconds = timeout_seconds
        self._stall_seconds = stall_seconds
        self._stuck: dict[str, float] = {}  # prompts, and from when on there is no hope that they go by themselves

    def run(  # noqa: PLR0913  a prompt, and what of its job matters to ComfyUI
        self,
        prompt: Mapping[str, Any],
        *,
        prompt_ids: Sequence[str],
        priority: Priority,
        private: bool,
        watch: Watch,
        must_stop: Callable[[], bool],
    ) -> Result:
        """Run a prompt to its end, telling the watch.

        `prompt_ids`: this attempt's, then those that earlier attempts may have left. `private`: errors repeat nothing
        of the prompt. `must_stop` is asked whenever there is news. Raises ExecutionStoppedError when it said so, and
        a JobFailedError for everything that ComfyUI did not do.
        """
        prompt_id = self._left_by_earlier(prompt_ids[1:])
        if prompt_id is not None:
            watch.log.add("Found in ComfyUI, where an earlier attempt left it.")
            watch.news.set()
            return _result(prompt_id, self._wait(prompt_id, watch, must_stop), prompt, private=private)
        prompt_id = prompt_ids[0]
        self._events.watch(prompt_id, watch)
        try:
            client_id = self._events.client_id
            self._comfyui.submit(prompt, prompt_id=prompt_id, client_id=client_id, priority=priority, private=private)
            watch.log.add("In ComfyUI's queue.")
            return _result(prompt_id, self._wait(prompt_id, watch, must_stop), prompt, private=private)
        finally:
            self._events.unwatch(prompt_id)

    def discard(self, prompt_ids: Sequence[str]) -> None:
        """Take prompts off ComfyUI that nobody needs any more. Raises ComfyUIUnreachableError."""
        queue = self._comfyui.queue()
        for prompt_id in prompt_ids:
            if prompt_id in queue:
                self._comfyui.remove(prompt_id)

    def forget(self, result: Result) -> None:
        """Let ComfyUI forget a result that is of no use, so that no later attempt takes it for its own."""
        self._comfyui.forget(result.prompt_id)

    @property
    def stuck(self) -> bool:
        """Whether ComfyUI has a prompt that it was told to stop, as far as it was looked at."""
        return bool(self._stuck)

    def look_at_stuck(self) -> None:
        """See which prompts that were stuck are gone. Raises ComfyUIUnreachableError."""
        if self._stuck:
            queue = self._comfyui.queue()
            for prompt_id in tuple(self._stuck):
                if prompt_id not in queue:
                    del self._stuck[prompt_id]

    def _left_by_earlier(self, prompt_ids: Sequence[str]) -> str | None:
        """Find a prompt of an earlier attempt that waits, runs or ran well: its executor died, ComfyUI did not.

        The queue is read first: from there prompts go into the history, so that none is missed in between.
        """
        if not prompt_ids:
            return None
        queue = self._comfyui.queue()
        for prompt_id in prompt_ids:
            if prompt_id in queue or _succeeded(self._comfyui.history(prompt_id)):
                return prompt_id
        return None

    def _wait(self, prompt_id: str, watch: Watch, must_stop: Callable[[], bool]) -> dict[str, Any]:
        times = _Times()
        while True:
            if watch.news.wait(times.pause_seconds):
                watch.news.clear()
                times.news_at = time.monotonic()
            if must_stop():
                self._remove(prompt_id)
            entry = self._ask(prompt_id, watch, times)
            if entry is not None:
                return entry
            if not watch.started:
                self._leave_if_hopeless(prompt_id)
            elif times.running_seconds > self._timeout_seconds:
                self._time_out(prompt_id)
            elif self._events.silent_seconds(watch) > self._stall_seconds:
                self._break_silence(prompt_id)

    def _ask(self, prompt_id: str, watch: Watch, times: _Times) -> dict[str, Any] | None:
        """Ask for the prompt's record and, now and then, whether ComfyUI still has it at all."""
        try:
            entry = self._comfyui.history(prompt_id)
            times.answered_at = time.monotonic()
            if entry is None and times.answered_at >= times.look_at:
                times.look_at = times.answered_at + _QUEUE_LOOK_SECONDS
                watch.started = self._look(prompt_id) or watch.started
        except PromptLostError:
            raise
        except ComfyUIUnreachableError:
            if time.monotonic() - times.answered_at > _UNREACHABLE_SECONDS:
                raise
            return None
        return entry

    def _look(self, prompt_id: str) -> bool:
        """Tell whether the prompt runs. Raises ComfyUIUnreachableError when ComfyUI has lost it."""
        queue = self._comfyui.queue()
        if prompt_id in queue or self._comfyui.history(prompt_id) is not None:
            return prompt_id in queue.running
        raise PromptLostError

    def _time_out(self, prompt_id: str) -> None:
        try:
            self._remove(prompt_id)
        except ExecutionStoppedError:
            raise ComfyUITimeoutError(
                f"The execution took longer than the {self._timeout_seconds:g} s it may take.",
                "Lower steps, size or batch_size, or raise COMFYUI_TIMEOUT_MS on the executor.",
            ) from None

    def _break_silence(self, prompt_id: str) -> None:
        """Stop a prompt of which nothing is heard: a node that hangs ends with that, a dead worker thread does not."""
        try:
            self._remove(prompt_id)
        except ExecutionStoppedError:
            if prompt_id not in self._stuck:
                raise ComfyUITimeoutError(
                    f"The execution did nothing for {self._stall_seconds:g} s.",
                    "If a node of it works for so long without a sign, raise COMFYUI_STALL_MS on the executor.",
                ) from None
            self._stuck[prompt_id] = time.monotonic()
            raise _hung() from None

    def _leave_if_hopeless(self, prompt_id: str) -> None:
        """Take a waiting prompt back when what runs before it will never end."""
        if any(time.monotonic() > hopeless_at for hopeless_at in tuple(self._stuck.values())):
            self._comfyui.remove(prompt_id)
            raise _hung()

    def _remove(self, prompt_id: str) -> None:
        """Take the prompt off ComfyUI, as often as it takes. Returns when it ended by itself meanwhile.

        Raises ExecutionStoppedError once it is gone, and when it is stuck.
        """
        deadline = time.monotonic() + _REMOVE_GIVE_UP_SECONDS
        while time.monotonic() < deadline:
            self._comfyui.remove(prompt_id)
            entry = self._comfyui.history(prompt_id)
            if entry is not None and not _was_interrupted(entry):
                return
            if entry is not None or prompt_id not in self._comfyui.queue():
                raise ExecutionStoppedError("The execution was stopped.")
            time.sleep(_REMOVE_AGAIN_SECONDS)
        self._stuck[prompt_id] = time.monotonic() + self._stall_seconds
        raise ExecutionStoppedError("The execution does not stop; ComfyUI is left alone until it has.")


def _hung() -> ComfyUIUnreachableError:
    return ComfyUIUnreachableError("ComfyUI hangs: it answers, but no longer works. It has to be restarted.")


def _result(prompt_id: str, entry: Mapping[str, Any], prompt: Mapping[str, Any], *, private: bool) -> Result:
    messages = dict(entry.get("status", {}).get("messages", ()))
    if _succeeded(entry):
        started = messages.get("execution_start", {}).get("timestamp")
        ended = messages.get("execution_success", {}).get("timestamp")
        took = ended - started if isinstance(started, int) and isinstance(ended, int) else None
        return Result(prompt_id=prompt_id, outputs=entry.get("outputs", {}), execution_ms=took)
    if "execution_error" in messages:
        raise execution_failure(messages["execution_error"], prompt, private=private)
    raise interrupted_elsewhere()


def _succeeded(entry: Mapping[str, Any] | None) -> bool:
    return entry is not None and entry.get("status", {}).get("status_str") == "success"


def _was_interrupted(entry: Mapping[str, Any]) -> bool:
    return "execution_interrupted" in dict(entry.get("status", {}).get("messages", ()))
