"""Which jobs ComfyUI has room for: those that run, a few that wait there for their turn, and which may still come.

ComfyUI's own queue, as it stands by what was taken (`at_once` 1, `ahead` 1):

    running      waiting
    low          low                 a normal or high job may come: it waits before the low one
    low          high, low           no other may come until the running one ends

So the next prompt is always there when one ends, and yet a job of higher priority waits at most for those that run.
"""

from __future__ import annotations

import threading

from gateway.domain.job import Priority

# Jobs that ComfyUI is done with hold memory and connections until their files are stored. Their number is bounded:
# where storing is slower than the GPU, the GPU has to wait.
MAX_FINISHING = 4

_RANKS = {priority: rank for rank, priority in enumerate(Priority)}


class Slot:
    """A job's place on ComfyUI."""

    def __init__(self, job_id: str, priority: Priority) -> None:
        self.job_id = job_id
        self.rank = _RANKS[priority]


class Slots:
    """The places of one ComfyUI; safe to use from several threads.

    `at_once`: prompts that it runs at the same time. `ahead`: prompts that wait beside them, counting for a job only
    those that run before it.
    """

    def __init__(self, at_once: int, ahead: int) -> None:
        self._at_once = at_once
        self._ahead = ahead
        self._lock = threading.Lock()
        self._line: list[Slot] = []  # in the order in which ComfyUI runs them
        self._finishing: set[Slot] = set()

    @property
    def idle(self) -> bool:
        """Whether ComfyUI could run a job at once."""
        with self._lock:
            return len(self._line) < self._at_once and len(self._finishing) < MAX_FINISHING

    def open_to(self) -> tuple[Priority, ...]:
        """List the priorities of which a job may come now, highest first."""
        with self._lock:
            if len(self._finishing) >= MAX_FINISHING:
                return ()
            if len(self._line) < self._at_once:
                return tuple(Priority)
            waiting = self._line[self._at_once :]
            return tuple(
                priority
                for priority, rank in _RANKS.items()
                if sum(place.rank <= rank for place in waiting) < self._ahead
            )

    @property
    def jobs(self) -> int:
        """How many jobs there are, those that are being finished included."""
        with self._lock:
            return len(self._line) + len(self._finishing)

    @property
    def current_job_id(self) -> str | None:
        """The job that ComfyUI runs; the first of several."""
        with self._lock:
            return self._line[0].job_id if self._line else None

    def take(self, job_id: str, priority: Priority) -> Slot:
        """Take a place for a job: behind those that run, and behind those that wait with the same priority."""
        taken = Slot(job_id, priority)
        with self._lock:
            position = min(self._at_once, len(self._line))
            while position < len(self._line) and self._line[position].rank <= taken.rank:
                position += 1
            self._line.insert(position, taken)
        return taken

    def free(self, place: Slot) -> None:
        """Let ComfyUI be done with a job; nothing happens when it was already."""
        with self._lock:
            if place in self._line:
                self._line.remove(place)
                self._finishing.add(place)

    def leave(self, place: Slot) -> None:
        """Let everything be done with a job."""
        with self._lock:
            if place in self._line:
                self._line.remove(place)
            self._finishing.discard(place)
