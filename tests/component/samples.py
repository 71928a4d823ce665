"""Sample jobs, outcomes and times, and a helper for concurrent calls."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.domain.audit import Authorship
from gateway.domain.job import Job, JobEnd, JobStatus, Output
from gateway.domain.principal import Principal, Role

if TYPE_CHECKING:
    from collections.abc import Callable

# Far in the future: the embedded AWS deletes expired items every minute, by the real time.
NOW = datetime(2076, 1, 31, 12, 0, 0, 123000, UTC)
SOON = NOW + timedelta(seconds=30)
LATER = SOON + timedelta(seconds=1)

BY = Authorship(actor=Principal(owner="root", role=Role.ADMIN, key_name="ops"), correlation_id="c-1")
OUTPUT = Output(filename="a.png", key="outputs/x/a.png", size=3, sha256="ab", content_type="image/png")
SUCCESS = JobEnd(status=JobStatus.SUCCEEDED, completed_at=LATER, execution_ms=1234, outputs=(OUTPUT,))

Result = TypeVar("Result")


def new_job(**fields: Any) -> Job:  # noqa: ANN401  the fields of a job
    """Return a queued job; `fields` override its defaults."""
    job = Job(
        id=str(uuid.uuid4()),
        owner="ada",
        workflow_id="w",
        workflow_version=1,
        template_key="workflows/w/1.json",
        inputs={"prompt": "a fox"},
        correlation_id="c-1",
        created_at=NOW,
    )
    return replace(job, **fields)


def run_concurrently(count: int, act: Callable[[int], Result]) -> list[Result]:
    """Call `act` in `count` threads at the same moment; return their results."""
    barrier = threading.Barrier(count)

    def wait_and_act(number: int) -> Result:
        barrier.wait(timeout=10)
        return act(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(wait_and_act, range(count)))
