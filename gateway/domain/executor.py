"""What an executor says of itself every few seconds; the API answers health questions from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

REPORT_SECONDS = 10
# Three missed reports: the executor, or its way to AWS, is gone.
REPORT_FRESH = timedelta(seconds=3 * REPORT_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What ComfyUI computes on."""

    name: str
    vram_total_bytes: int  # of RAM where there is no GPU
    vram_free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorReport:
    """The state of one executor and of the ComfyUI beside it. Written often, so it is small."""

    id: str
    version: str  # of the gateway
    last_seen_at: datetime
    jobs: int  # in its hands, those that wait in ComfyUI's queue included
    current_job_id: str | None = None  # the one that ComfyUI runs
    waiting: int  # jobs in the queues, as it last saw them; all executors see the same
    mean_run_ms: int | None = None  # of its latest runs, the later ones counting more
    comfyui_url: str
    comfyui_reachable: bool
    comfyui_version: str | None = None
    device: Device | None = None

    @property
    def busy(self) -> bool:
        """Whether it has anything to do."""
        return self.jobs > 0


def eta_seconds(reports: Sequence[ExecutorReport]) -> int:
    """Estimate how long a job that is accepted now waits and runs.

    0 when an executor is idle with nothing waiting, and when nothing is known to estimate from.
    """
    runs = [report.mean_run_ms for report in reports if report.mean_run_ms is not None]
    waiting = max((report.waiting for report in reports), default=0)
    if not runs or (waiting == 0 and not all(report.busy for report in reports)):
        return 0
    ahead = waiting + sum(report.jobs for report in reports)
    rounds = ahead / len(reports) + 1
    return math.ceil(rounds * sum(runs) / len(runs) / 1000)
