"""The estimated time to the start of a new job, from the heartbeats of executors."""

from __future__ import annotations

import pytest

from gateway.clock import SYSTEM_CLOCK
from gateway.domain.executor import Heartbeat, eta_seconds


def heartbeat(jobs: int, waiting: int, mean_run_ms: int | None) -> Heartbeat:
    """Make the heartbeat of an executor."""
    return Heartbeat(
        id=f"{jobs}-{waiting}",
        version="1",
        last_seen_at=SYSTEM_CLOCK.now(),
        jobs=jobs,
        waiting=waiting,
        mean_run_ms=mean_run_ms,
        comfyui_url="http://127.0.0.1:8188",
        comfyui_reachable=True,
    )


@pytest.mark.parametrize(
    ("heartbeats", "seconds"),
    [
        ([], 0),
        ([heartbeat(0, 0, 4000)], 0),
        ([heartbeat(2, 0, None)], 0),
        ([heartbeat(2, 0, 4000), heartbeat(0, 0, 4000)], 0),
        ([heartbeat(2, 0, 4000)], 12),
        ([heartbeat(2, 6, 4000)], 36),
        ([heartbeat(2, 6, 4000), heartbeat(2, 6, 4000)], 24),
        ([heartbeat(0, 3, 100)], 1),
    ],
)
def test_eta(heartbeats: list[Heartbeat], seconds: int) -> None:
    """It is 0 when idle or unknown; else all that is ahead and the job itself, spread over the executors."""
    assert eta_seconds(heartbeats) == seconds
