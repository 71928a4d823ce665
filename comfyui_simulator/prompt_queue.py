"""The queue of prompts and the history of finished ones, in memory only."""

from __future__ import annotations

import heapq
import itertools
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfyui_simulator.types import JsonObject, QueueItem


class PromptQueue:
    """Waiting, running and finished prompts; thread-safe.

    `max_history` limits the finished prompts. `on_change` is called in the caller's thread whenever the number of
    waiting and running prompts may have changed.
    """

    def __init__(self, max_history: int, on_change: Callable[[], None]) -> None:
        self._max_history = max_history
        self._on_change = on_change
        self._changed = Condition()
        self._pending: list[QueueItem] = []
        self._running: dict[int, QueueItem] = {}
        self._task_numbers = itertools.count()
        self._history: dict[str, JsonObject] = {}

    def put(self, item: QueueItem) -> None:
        """Add a prompt.

        Raises TypeError when a waiting prompt has the same number and id; it is queued anyway (recorded: priorities).
        """
        with self._changed:
            # Two items of the same number and id make the heap compare their prompts, which are dicts. The real
            # server returns 500 at this point, after the item went in; this heap holds the same tuples.
            heapq.heappush(self._pending, item)
            self._changed.notify()
        self._on_change()

    def get(self, timeout_seconds: float) -> tuple[int, QueueItem] | None:
        """Return the waiting prompt with the lowest number, marked as running; None when the time runs out."""
        with self._changed:
            if not self._pending:
                self._changed.wait(timeout_seconds)
            if not self._pending:
                return None
            item = heapq.heappop(self._pending)
            task = next(self._task_numbers)
            self._running[task] = item
        self._on_change()
        return task, item

    def wake(self) -> None:
        """Let a waiting `get` return at once."""
        with self._changed:
            self._changed.notify_all()

    def finish(self, task: int, entry: JsonObject) -> None:
        """Move a running prompt to the history."""
        with self._changed:
            item = self._running.pop(task)
            self._history.pop(item[1], None)
            self._history[item[1]] = {"prompt": item, **entry}
            while len(self._history) > self._max_history:
                del self._history[next(iter(self._history))]
        self._on_change()

    def lose(self, task: int) -> None:
        """Remove a running prompt without a history entry, as no healthy server does."""
        with self._changed:
            del self._running[task]
        self._on_change()

    def remaining(self) -> int:
        """Return the number of waiting and running prompts."""
        with self._changed:
            return len(self._pending) + len(self._running)

    def snapshot(self) -> tuple[list[QueueItem], list[QueueItem]]:
        """Return the running and the waiting prompts; the latter in heap order, as recorded, not in running order."""
        with self._changed:
            return list(self._running.values()), list(self._pending)

    def is_running(self, prompt_id: str) -> bool:
        """Return whether the prompt is running."""
        with self._changed:
            return any(item[1] == prompt_id for item in self._running.values())

    def delete(self, prompt_id: str) -> bool:
        """Remove the first waiting prompt of that id; running ones are not affected."""
        with self._changed:
            position = next((i for i, item in enumerate(self._pending) if item[1] == prompt_id), None)
            if position is None:
                return False
            del self._pending[position]
            heapq.heapify(self._pending)
        self._on_change()
        return True

    def forget(self, prompt_id: str) -> None:
        """Remove a waiting or finished prompt from queue and history, as no healthy server does."""
        self.delete(prompt_id)
        self.delete_history(prompt_id)

    def clear(self) -> None:
        """Remove all waiting prompts."""
        with self._changed:
            self._pending.clear()
        self._on_change()

    def history(self, max_items: int | None = None, offset: int = -1) -> JsonObject:
        """Return finished prompts, oldest first; a negative offset counts `max_items` from the newest."""
        with self._changed:
            if offset < 0:
                offset = 0 if max_items is None else len(self._history) - max_items
            newest_first_skipped = itertools.islice(self._history.items(), max(0, offset), None)
            return dict(itertools.islice(newest_first_skipped, None if max_items is None else max(0, max_items)))

    def history_of(self, prompt_id: str) -> JsonObject:
        """Return {id: entry}, or {} for a prompt that is unknown, waits or runs."""
        with self._changed:
            return {prompt_id: self._history[prompt_id]} if prompt_id in self._history else {}

    def delete_history(self, prompt_id: str) -> None:
        """Remove a finished prompt from the history."""
        with self._changed:
            self._history.pop(prompt_id, None)

    def clear_history(self) -> None:
        """Clear the history."""
        with self._changed:
            self._history.clear()
