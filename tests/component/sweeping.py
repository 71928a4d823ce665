"""Runs of the sweeper on a fake clock, and claimed jobs, for the sweeper's tests."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from functions.events import sweeper
from tests.component.event_functions import NO_CONTEXT, EventFunctions

if TYPE_CHECKING:
    from functions.wiring.events import EventWiring
    from gateway.domain.job import Job
    from testing.clock import FakeClock

EVERY_MINUTES = 5


class Sweeps:
    """Runs the sweeper, and advances its clock before each run."""

    def __init__(self, background: EventWiring, clock: FakeClock) -> None:
        background.clock = clock
        self._handler = sweeper.handler.make_handler(background)
        self._clock = clock

    def run_once(self, after_minutes: float = EVERY_MINUTES) -> None:
        """Advance the clock, then run the sweeper once."""
        self._clock.advance(60 * after_minutes)
        self._handler({"detail-type": "Scheduled Event"}, NO_CONTEXT)

    def run_repeatedly(self, count: int = 4) -> None:
        """Run the sweeper `count` times; the default is enough to find a lost job."""
        for _ in range(count):
            self.run_once()


def claimed(event_functions: EventFunctions, job: Job, lease: timedelta = timedelta(seconds=30)) -> Job:
    """Claim a job for an executor."""
    now = event_functions.clock.now()
    return event_functions.jobs.claim(job.id, executor_id="e-1", now=now, lease_until=now + lease)
