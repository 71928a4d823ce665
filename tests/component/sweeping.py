"""What tests of the sweeper share: its clock, its runs, and jobs that an executor has taken."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from functions.events import sweeper
from gateway.domain import timestamps
from tests.component.backstage import NO_CONTEXT, Backstage

if TYPE_CHECKING:
    from functions.wiring.events import EventWiring
    from gateway.domain.job import Job

EVERY_MINUTES = 5


class Clock:
    """The clock of everything in this process; it stands until it is moved on."""

    def __init__(self) -> None:
        self.now = timestamps.now()

    def pass_by(self, **time: float) -> None:
        """Move on."""
        self.now += timedelta(**time)


class Sweeps:
    """The function, started by a clock."""

    def __init__(self, background: EventWiring, clock: Clock) -> None:
        self._handler = sweeper.make_handler(background)
        self._clock = clock

    def one(self, after_minutes: float = EVERY_MINUTES) -> None:
        """Let some time pass, then sweep."""
        self._clock.pass_by(minutes=after_minutes)
        self._handler({"detail-type": "Scheduled Event"}, NO_CONTEXT)

    def some(self, count: int = 4) -> None:
        """SweepState for as long as it takes to find what is lost."""
        for _ in range(count):
            self.one()


def claimed(backstage: Backstage, job: Job, lease: timedelta = timedelta(seconds=30)) -> Job:
    """Claim a job."""
    now = timestamps.now()
    return backstage.jobs.claim(job.id, executor_id="e-1", now=now, lease_until=now + lease)
