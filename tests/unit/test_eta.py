from __future__ import annotations

import pytest

from gateway.clock import SYSTEM_CLOCK
from gateway.domain.executor import Heartbeat, eta_seconds


def report(jobs: int, waiting: int, mean_run_ms: int | None) -> Heartbeat:
    """Make an executor's report."""
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
    ("reports", "seconds"),
    [
        ([], 0),
        ([report(0, 0, 4000)], 0),
        ([report(2, 0, None)], 0),
        ([report(2, 0, 4000), report(0, 0, 4000)], 0),
        ([report(2, 0, 4000)], 12),
        ([report(2, 6, 4000)], 36),
        ([report(2, 6, 4000), report(2, 6, 4000)], 24),
        ([report(0, 3, 100)], 1),
    ],
)
def test_eta(reports: list[Heartbeat], seconds: int) -> None:
    """It is 0 when idle or unknown; else all that is ahead and the job itself, spread over the executors."""
    assert eta_seconds(reports) == seconds
