"""The executor's log: the lines of a job have its id and its request's correlation id."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from executor.log import log_context, logger
from gateway.clock import SYSTEM_CLOCK
from testing.executor_harness import CORRELATION_ID
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from comfyui_simulator.server import SimulatorServer
    from testing.executor_harness import InMemoryExecutorHarness


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Capture the executor's log."""
    stream = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    return stream


def lines_of(log: io.StringIO) -> list[dict[str, Any]]:
    """Parse the lines of a log."""
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_every_line_of_a_job_has_its_ids(
    harness: InMemoryExecutorHarness,
    simulator: SimulatorServer,
    log: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So have the lines of its lease, which is renewed in another thread."""
    monkeypatch.setattr(harness.jobs, "renew", lambda *_, **__: 1 / 0)
    with harness.run_executor(simulator.url):
        job_id = harness.submit(sleep_prompt(0.5))
        harness.wait_until_ended(job_id)
        wait_until(lambda: "job_ended" in log.getvalue(), "the log line")
    lines = [line for line in lines_of(log) if line["action"].startswith(("job_", "lease_"))]
    assert {line["action"] for line in lines} == {"lease_not_renewed", "job_ended"}
    assert {(line["job_id"], line["correlation_id"]) for line in lines} == {(job_id, CORRELATION_ID)}


def test_a_repeated_attempt_is_logged(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer, log: io.StringIO
) -> None:
    """The claim of a first attempt is not: log lines are billed by size, and the job's end is logged."""
    job_id = harness.submit(image_prompt())
    now = SYSTEM_CLOCK.now()
    harness.jobs.claim(job_id, executor_id="dead", now=now, lease_until=now - timedelta(seconds=1))
    with harness.run_executor(simulator.url):
        harness.wait_until_ended(job_id)
        harness.wait_until_ended(harness.submit(image_prompt()))
    claims = [line for line in lines_of(log) if line["action"] == "job_claimed"]
    assert [(line["job_id"], line["attempt"]) for line in claims] == [(job_id, 2)]


def test_lines_after_a_job_do_not_have_its_ids(log: io.StringIO) -> None:
    """The fields end with the block."""
    with log_context(private=False, job_id="outer"):
        with log_context(private=False, job_id="inner", correlation_id="c"):
            logger.info("inside")
        logger.info("between")
    logger.info("after")
    assert [(line.get("job_id"), line.get("correlation_id")) for line in lines_of(log)] == [
        ("inner", "c"), ("outer", None), (None, None),
    ]  # fmt: skip
