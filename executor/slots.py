"""Slots: room for prompts on this executor's ComfyUI, for those that run and for a few that wait in its queue.

ComfyUI's own queue as this executor fills it (MAX_CONCURRENCY 1, LOOK_AHEAD 1):

    running      waiting
    low          low                 open to normal and high: such a job waits before the low one
    low          high, low           open to none until the running one finishes

ComfyUI therefore always has the next prompt when one finishes, and yet a job of higher priority waits only for prompts
that already run.
"""

from __future__ import annotations

import threading

from gateway.domain.job import Priority

# Jobs whose prompt has finished use memory and connections until their outputs are stored. The number of such jobs is
# limited: where storing is slower than the GPU, the GPU must wait.
MAX_FINISHING = 4

_RANKS = {priority: rank for rank, priority in enumerate(Priority)}


class Slot:
    """The slot of one job."""

    def __init__(self, job_id: str, priority: Priority) -> None:
        self.job_id = job_id
        self.rank = _RANKS[priority]


class Slots:
    """The slots of one ComfyUI; safe to use from several threads.

    `concurrency`: how many prompts it runs at the same time. `look_ahead`: how many more prompts may wait; for a new
    job only those of the same or a higher priority count, as only they run before it.
    """

    def __init__(self, concurrency: int, look_ahead: int) -> None:
        self._concurrency = concurrency
        self._look_ahead = look_ahead
        self._lock = threading.Lock()
        self._queue: list[Slot] = []  # in the order in which ComfyUI runs the prompts
        self._finishing: set[Slot] = set()

    @property
    def idle(self) -> bool:
        """Whether ComfyUI could run one more job at once."""
        with self._lock:
            return len(self._queue) < self._concurrency and len(self._finishing) < MAX_FINISHING

    @property
    def job_count(self) -> int:
        """The number of jobs, including those that are finishing."""
        with self._lock:
            return len(self._queue) + len(self._finishing)

    @property
    def current_job_id(self) -> str | None:
        """The job that ComfyUI runs; the first of several."""
        with self._lock:
            return self._queue[0].job_id if self._queue else None

    def open_priorities(self) -> tuple[Priority, ...]:
        """Return the priorities that have a free slot now, highest first."""
        with self._lock:
            if len(self._finishing) >= MAX_FINISHING:
                return ()
            if len(self._queue) < self._concurrency:
                return tuple(Priority)
            waiting = self._queue[self._concurrency :]
            return tuple(
                priority
                for priority, rank in _RANKS.items()
                if sum(slot.rank <= rank for slot in waiting) < self._look_ahead
            )

    def acquire(self, job_id: str, priority: Priority) -> Slot:
        """Take a slot for a job: behind those that run, and behind those that wait with the same priority."""
        slot = Slot(job_id, priority)
        with self._lock:
            position = min(self._concurrency, len(self._queue))
            while position < len(self._queue) and self._queue[position].rank <= slot.rank:
                position += 1
            self._queue.insert(position, slot)
        return slot

    def start_finishing(self, slot: Slot) -> None:
        """Make room on ComfyUI: the job's prompt has finished, its outputs are yet to be stored. Idempotent."""
        with self._lock:
            if slot in self._queue:
                self._queue.remove(slot)
                self._finishing.add(slot)

    def release(self, slot: Slot) -> None:
        """Release a slot: this executor is done with the job."""
        with self._lock:
            if slot in self._queue:
                self._queue.remove(slot)
            self._finishing.discard(slot)
