"""The page on how jobs end and the code say the same."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from executor.job import runner
from functions.events import dead_letters, sweeper
from gateway.aws.resources import JOB_QUEUES, SCHEDULES, SWEEPER
from gateway.domain.lost_jobs import GRACE

PAGE = (Path(__file__).parents[2] / "docs" / "how-jobs-end.md").read_text(encoding="utf-8")


def test_every_reason_is_on_the_page() -> None:
    """Each message with which a job fails as EXECUTOR_LOST is found there by its beginning, and no other is."""
    _, _, table = PAGE.partition("## EXECUTOR_LOST")
    beginnings = re.findall(r"^\| ([A-Z][^|]+?) \|", table, flags=re.MULTILINE)
    failures = (dead_letters._FAILURE, sweeper._MESSAGE_GONE, sweeper._TOO_OLD)
    in_runner = re.findall(r'ExecutorLostError\(\s*f?"([^"]+)', inspect.getsource(runner))
    messages = [*(failure.message for failure in failures), *in_runner]
    assert [sum(message.startswith(text) for text in beginnings) for message in messages] == [1] * 5
    assert len(beginnings) == 5


def test_the_numbers_are_those_of_the_code() -> None:
    """How often, how long and after how many times."""
    assert {queue.max_receives for queue in JOB_QUEUES.values()} == {1000}
    assert "a thousand times" in PAGE
    assert {queue.retention_seconds for queue in JOB_QUEUES.values()} == {14 * 24 * 3600}
    assert "14 days" in PAGE
    assert [schedule.every_minutes for schedule in SCHEDULES if schedule.function is SWEEPER] == [5]
    assert "every five minutes" in PAGE
    assert GRACE.total_seconds() == 600
    assert "for ten minutes" in PAGE
