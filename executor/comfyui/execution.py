"""The prompt of one attempt on ComfyUI, from submission to its record in the history.

left by an earlier attempt? ──yes──┐
 │ no                              ▼
 └─▶ submit ─────────────────────▶ wait for its end ─▶ its record
       ▲                                                  │
       └── once: free the memory, forget the record ◀── out of memory
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from executor.comfyui.errors.failed import execution_failure, failed_node, interrupted_elsewhere
from executor.comfyui.errors.out_of_memory import is_out_of_memory, may_fit
from executor.comfyui.monitor import ExecutionStoppedError
from gateway.domain.job import LogLevel, prompt_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.comfyui.client import ComfyUI
    from executor.comfyui.history import Record
    from executor.comfyui.monitor import PromptMonitor
    from executor.comfyui.progress import PromptProgress
    from executor.comfyui.websocket import ProgressSocket
    from gateway.domain.job import Job

# What frees the memory is the thread that would take the next prompt, were that there first.
_FREEING_SECONDS = 0.5


class Execution:
    """Runs prompts on one ComfyUI; safe to use from several threads."""

    def __init__(self, comfyui: ComfyUI, events: ProgressSocket, overseer: PromptMonitor) -> None:
        self._comfyui = comfyui
        self._events = events
        self._overseer = overseer

    def run(self, job: Job, watch: PromptProgress, must_stop: Callable[[], bool]) -> Record:
        """Run the prompt of a job's latest attempt to its good end, telling the watch.

        `must_stop` is asked whenever there is news. Raises ExecutionStoppedError when it said so, and a JobFailedError
        for everything that ComfyUI did not do.
        """
        record = self._left_by_earlier(job, watch, must_stop)
        if record is None:
            record = self._submit(prompt_id(job.id, job.attempt), job, watch, must_stop)
        freed = record.failure is not None and is_out_of_memory(record.failure) and may_fit(record.failure)
        if freed:
            self._free_memory(record, watch, must_stop)
            record = self._submit(record.prompt_id, job, watch, must_stop)
        if record.failure is not None:
            raise execution_failure(record.failure, watch.prompt, watch.inputs, freed=freed)
        if not record.succeeded:
            raise interrupted_elsewhere()
        return record

    def discard(self, job: Job) -> None:
        """Take off ComfyUI what attempts of a job left there. Raises ComfyUIUnreachableError."""
        queue = self._comfyui.queue()
        for left in _prompt_ids(job):
            if left in queue:
                self._comfyui.remove(left)

    def forget(self, record: Record) -> None:
        """Let ComfyUI forget a record that is of no use, so that no later attempt takes it for its own."""
        self._comfyui.forget(record.prompt_id)

    def _left_by_earlier(self, job: Job, watch: PromptProgress, must_stop: Callable[[], bool]) -> Record | None:
        """Find a prompt of an earlier attempt that waits, runs or ran well: its executor died, ComfyUI did not.

        The queue is read first: from there prompts go into the history, so that none is missed in between.
        """
        earlier = _prompt_ids(job)[1:]
        queue = self._comfyui.queue() if earlier else ()
        for left in earlier:
            if left in queue or self._ran_well(left):
                watch.log.add("Found in ComfyUI, where an earlier attempt left it.")
                watch.news.set()
                with self._events.telling(watch, left):
                    return self._overseer.wait(left, watch, must_stop)
        return None

    def _ran_well(self, left: str) -> bool:
        record = self._comfyui.history(left)
        return record is not None and record.succeeded

    def _submit(self, own_id: str, job: Job, watch: PromptProgress, must_stop: Callable[[], bool]) -> Record:
        """Send the prompt to ComfyUI and wait for its end."""
        watch.log.add("Submitting it to ComfyUI.")  # not afterwards: its start can be told before the answer comes
        with self._events.telling(watch, own_id):
            self._comfyui.submit(
                watch.prompt,
                prompt_id=own_id,
                client_id=self._events.client_id,
                priority=job.priority,
                private=job.private,
            )
            return self._overseer.wait(own_id, watch, must_stop)

    def _free_memory(self, record: Record, watch: PromptProgress, must_stop: Callable[[], bool]) -> None:
        """Have ComfyUI free its memory, and forget what it says of a prompt that is to run again.

        No other prompt is harmed: ComfyUI frees between two of them, in the thread that runs them. Those that follow
        load their models again.
        """
        where = failed_node(record.failure or {}, watch.prompt, private=watch.inputs is None)
        watch.log.add(
            f"Out of memory at {where}. ComfyUI frees what it holds, then runs it once more.", level=LogLevel.WARNING
        )
        self._comfyui.free()
        self._comfyui.forget(record.prompt_id)
        watch.restart()
        until = time.monotonic() + _FREEING_SECONDS
        while (seconds := until - time.monotonic()) > 0:
            if must_stop():
                raise ExecutionStoppedError("The execution is not wanted any more.")
            watch.news.wait(seconds)
            watch.news.clear()


def _prompt_ids(job: Job) -> list[str]:
    """List the ids that ComfyUI can know a job by, the latest attempt's first."""
    return [prompt_id(job.id, attempt) for attempt in range(job.attempt, 0, -1)]
