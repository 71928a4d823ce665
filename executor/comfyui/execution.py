"""Execute the prompt of one attempt on ComfyUI, from submission to its history entry.

prompt of an earlier attempt there? ──yes──┐
 │ no                                      ▼
 └─▶ submit ─────────────────────────────▶ wait until it has finished ─▶ history entry
       ▲                                                                     │
       └── once: free memory, delete the history entry ◀───── out of memory ─┘
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor.comfyui.errors.failed import (
    execution_failure,
    failed_node,
    interrupted_by_others,
    is_out_of_memory,
    may_fit_after_freeing,
)
from executor.comfyui.monitor import ExecutionStoppedError
from gateway.domain.job import LogLevel, prompt_id
from gateway.errors import ComfyUIUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.comfyui.client import ComfyUIClient
    from executor.comfyui.history import HistoryEntry
    from executor.comfyui.monitor import PromptMonitor
    from executor.comfyui.progress import PromptProgress
    from executor.comfyui.websocket import ProgressSocket
    from gateway.domain.job import Job
    from gateway.ports import Clock

# ComfyUI frees memory in the thread that runs prompts: a prompt that is queued before it has started would run first.
_FREE_MEMORY_SECONDS = 0.5


class PromptRunner:
    """Executes prompts on one ComfyUI; safe to use from several threads."""

    def __init__(self, comfyui: ComfyUIClient, socket: ProgressSocket, monitor: PromptMonitor, clock: Clock) -> None:
        self._comfyui = comfyui
        self._socket = socket
        self._monitor = monitor
        self._clock = clock

    def run(self, job: Job, progress: PromptProgress, must_stop: Callable[[], bool]) -> HistoryEntry:
        """Execute the prompt of a job's latest attempt, updating `progress`, and return its successful history entry.

        `must_stop` is called whenever `progress` has changed, and at every poll. Raises ExecutionStoppedError when it
        returned True, and a JobFailedError when the execution failed.
        """
        entry = self._resume_earlier_attempt(job, progress, must_stop)
        if entry is None:
            entry = self._submit(prompt_id(job.id, job.attempt), job, progress, must_stop)
        freed = entry.failure is not None and is_out_of_memory(entry.failure) and may_fit_after_freeing(entry.failure)
        if freed:
            self._free_memory(entry, progress, must_stop)
            entry = self._submit(entry.prompt_id, job, progress, must_stop)
        if entry.failure is not None:
            raise execution_failure(entry.failure, progress.prompt, progress.inputs, freed=freed)
        if not entry.succeeded:
            raise interrupted_by_others()
        return entry

    def cancel_all_attempts(self, job: Job) -> None:
        """Cancel the prompts of all attempts of a job. Raises ComfyUIUnreachableError."""
        queue = self._comfyui.queue()
        for attempt_prompt_id in _prompt_ids(job):
            if attempt_prompt_id in queue:
                self._comfyui.cancel(attempt_prompt_id)

    def delete_history(self, entry: HistoryEntry) -> None:
        """Delete a history entry that is of no use, so that no later attempt resumes from it."""
        self._comfyui.delete_history(entry.prompt_id)

    def _resume_earlier_attempt(
        self, job: Job, progress: PromptProgress, must_stop: Callable[[], bool]
    ) -> HistoryEntry | None:
        """Find a prompt of an earlier attempt that waits, runs or has succeeded: its executor died, ComfyUI did not.

        The queue is read first: prompts move from there to the history, so none is missed in between.
        """
        earlier = _prompt_ids(job)[1:]
        queue = self._comfyui.queue() if earlier else ()
        for earlier_id in earlier:
            if earlier_id in queue or self._has_succeeded(earlier_id):
                progress.log.add("Resuming the execution of an earlier attempt.")
                progress.changed.set()
                with self._socket.subscribe(earlier_id, progress):
                    return self._monitor.wait(earlier_id, progress, must_stop)
        return None

    def _has_succeeded(self, earlier_id: str) -> bool:
        entry = self._comfyui.history(earlier_id)
        return entry is not None and entry.succeeded

    def _submit(self, own_id: str, job: Job, progress: PromptProgress, must_stop: Callable[[], bool]) -> HistoryEntry:
        """Submit the prompt to ComfyUI and wait until it has finished."""
        if must_stop():
            raise ExecutionStoppedError("The prompt was not submitted.")
        progress.log.add("Submitting to ComfyUI.")  # first: the event of its start can precede the response
        with self._socket.subscribe(own_id, progress):
            try:
                self._comfyui.submit(
                    progress.prompt,
                    prompt_id=own_id,
                    client_id=self._socket.client_id,
                    priority=job.priority,
                    private=job.private,
                )
            except ComfyUIUnreachableError:
                # Without a response, ComfyUI may have queued the prompt all the same, or may yet do so.
                self._monitor.abandon(own_id)
                raise
            return self._monitor.wait(own_id, progress, must_stop)

    def _free_memory(self, entry: HistoryEntry, progress: PromptProgress, must_stop: Callable[[], bool]) -> None:
        """Free ComfyUI's memory, and delete the history entry of a prompt that is about to run again.

        Other prompts are not affected: ComfyUI frees memory between prompts, in the thread that runs them. Prompts
        that follow load their models again.
        """
        where = failed_node(entry.failure or {}, progress.prompt, private=progress.inputs is None)
        progress.log.add(
            f"Out of memory at {where}. Freeing ComfyUI memory and running once more.", level=LogLevel.WARNING
        )
        self._comfyui.free_memory()
        self._comfyui.delete_history(entry.prompt_id)
        progress.restart()
        deadline = self._clock.monotonic() + _FREE_MEMORY_SECONDS
        while (remaining_seconds := deadline - self._clock.monotonic()) > 0:
            if must_stop():
                raise ExecutionStoppedError("The execution was not started again.")
            progress.changed.wait(remaining_seconds)
            progress.changed.clear()


def _prompt_ids(job: Job) -> list[str]:
    """Return the prompt ids of all attempts of a job, latest attempt first."""
    return [prompt_id(job.id, attempt) for attempt in range(job.attempt, 0, -1)]
