"""The heartbeat of an executor: its state and its ComfyUI's, written every few seconds and read by the API."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

HEARTBEAT_SECONDS = 10
# After three missed heartbeats the executor, or its connection to AWS, counts as gone.
HEARTBEAT_MAX_AGE = timedelta(seconds=3 * HEARTBEAT_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The device that ComfyUI computes on."""

    name: str
    vram_total_bytes: int  # of RAM where there is no GPU
    vram_free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The state of one executor and its ComfyUI. Written often, so it is small."""

    id: str
    version: str  # of the gateway
    last_seen_at: datetime
    jobs: int  # that it holds, including those in ComfyUI's queue
    current_job_id: str | None = None  # the one that ComfyUI is running
    waiting: int  # jobs in the queues at its last count; all executors count the same queues
    mean_run_ms: int | None = None  # of its latest runs, weighted towards the newest
    comfyui_url: str
    comfyui_reachable: bool
    comfyui_version: str | None = None
    device: Device | None = None

    @property
    def busy(self) -> bool:
        """Whether the executor holds a job."""
        return self.jobs > 0


def eta_seconds(heartbeats: Sequence[Heartbeat]) -> int:
    """Estimate the seconds until a job that is accepted now has ended.

    0 when an executor is idle and no job is waiting, and when there is no finished run to estimate from.
    """
    runs = [heartbeat.mean_run_ms for heartbeat in heartbeats if heartbeat.mean_run_ms is not None]
    waiting = max((heartbeat.waiting for heartbeat in heartbeats), default=0)
    if not runs or (waiting == 0 and not all(heartbeat.busy for heartbeat in heartbeats)):
        return 0
    ahead = waiting + sum(heartbeat.jobs for heartbeat in heartbeats)
    rounds = ahead / len(heartbeats) + 1
    return math.ceil(rounds * sum(runs) / len(runs) / 1000)
