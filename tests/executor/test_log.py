"""The executor's log: what happened to a job is found by the id of the request that it came with."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING

from executor.log import log_context, logger
from gateway.aws.dynamodb.job_store import DynamoJobStore
from gateway.domain import timestamps
from tests.executor.stage import Stage, picture, sleeping

if TYPE_CHECKING:
    import pytest

    from comfyui_simulator.server import SimulatorServer


def test_every_line_of_a_job_bears_its_ids(
    stage: Stage, simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of its lease as well, which has a thread of its own."""
    log = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", log)
    monkeypatch.setattr(DynamoJobStore, "renew", lambda *_, **__: 1 / 0)
    with stage.executor(simulator.url):
        job_id = stage.accept(sleeping(2.0))
        stage.ended(job_id)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    of_the_job = [line for line in lines if line["action"].startswith(("job_", "lease_"))]
    assert {line["action"] for line in of_the_job} == {"lease_not_renewed", "job_ended"}
    assert {(line["job_id"], line["correlation_id"]) for line in of_the_job} == {(job_id, "correlated")}


def test_an_attempt_after_a_lost_one_is_told(
    stage: Stage, simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first one is not: logs are billed by the byte, and its end is told."""
    log = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", log)
    job_id = stage.accept(picture())
    now = timestamps.now()
    stage.jobs.claim(job_id, executor_id="dead", now=now, lease_until=now - timedelta(seconds=1))
    with stage.executor(simulator.url):
        stage.ended(job_id)
    claimed = [line for line in map(json.loads, log.getvalue().splitlines()) if line["action"] == "job_claimed"]
    assert [(line["job_id"], line["attempt"]) for line in claimed] == [(job_id, 2)]


def test_what_comes_after_a_job_does_not_bear_its_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads go on to the next job."""
    log = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", log)
    with log_context(private=False, job_id="outer"):
        with log_context(private=False, job_id="inner", correlation_id="c"):
            logger.info("inside")
        logger.info("between")
    logger.info("after")
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(line.get("job_id"), line.get("correlation_id")) for line in lines] == [
        ("inner", "c"), ("outer", None), (None, None),
    ]  # fmt: skip
