"""The ports RateLimitStore and JobCountStore."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from typing import TYPE_CHECKING

from gateway.domain.job_counts import DailyJobCounts
from tests.component.samples import NOW, run_concurrently

if TYPE_CHECKING:
    from tests.ports.conftest import Ports

EXPIRES_AT = int((NOW + timedelta(minutes=1)).timestamp())
DAY = date(2076, 1, 31)
NEXT_DAY = date(2076, 2, 1)


def test_requests_are_counted_per_subject_and_window(ports: Ports) -> None:
    """Each subject has a count of its own in each window, starting at 1."""
    counts = [
        ports.rates.add(subject, window, expires_at=EXPIRES_AT)
        for subject, window in (("ada", 0), ("ada", 0), ("bob", 0), ("ada", 60_000))
    ]
    assert counts == [1, 2, 1, 1]


def test_concurrent_requests_get_different_counts(ports: Ports) -> None:
    """Sixteen requests at once are counted from 1 to 16."""
    counts = run_concurrently(16, lambda _: ports.rates.add("ada", 0, expires_at=EXPIRES_AT))
    assert sorted(counts) == list(range(1, 17))


def test_job_counts_add_up(ports: Ports) -> None:
    """Differences of several batches are summed per day, negative ones too; earlier days are left out."""
    ports.job_counts.add(
        {DAY: DailyJobCounts(queued=2), NEXT_DAY: DailyJobCounts(queued=1)}, batch_id=str(uuid.uuid4())
    )
    ports.job_counts.add(
        {DAY: DailyJobCounts({"queued": -1, "running": 1, "failed:COMFYUI_OOM": 1})}, batch_id=str(uuid.uuid4())
    )
    assert ports.job_counts.since(DAY) == {
        DAY: DailyJobCounts({"queued": 1, "running": 1, "failed:COMFYUI_OOM": 1}),
        NEXT_DAY: DailyJobCounts(queued=1),
    }
    assert ports.job_counts.since(NEXT_DAY) == {NEXT_DAY: DailyJobCounts(queued=1)}


def test_a_repeated_batch_is_counted_once(ports: Ports) -> None:
    """The table's stream can deliver a batch twice."""
    batch_id = str(uuid.uuid4())
    for _ in range(2):
        ports.job_counts.add({DAY: DailyJobCounts(queued=1)}, batch_id=batch_id)
    assert ports.job_counts.since(DAY) == {DAY: DailyJobCounts(queued=1)}
