"""The executor's log: what happened to a job is found by the id of the request that it came with."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

from executor.log import log_context, logger
from gateway.aws.job_store import DynamoJobStore
from tests.executor.stage import Stage, sleeping

if TYPE_CHECKING:
    import pytest

    from cli.comfyui_simulator.server import SimulatorServer


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
