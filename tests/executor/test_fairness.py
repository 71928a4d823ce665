"""Owners among each other: who has one job does not wait for who has a thousand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests

from gateway.domain.job import prompt_id
from tests.executor.fair_queue import FairSqsJobQueue
from tests.executor.stage import Stage, sleeping, wait_until

if TYPE_CHECKING:
    import pytest

    from comfyui_simulator.server import SimulatorServer


def ran(simulator: SimulatorServer) -> list[str]:
    """List the ids of the prompts that ComfyUI ran, in order."""
    return list(requests.get(f"{simulator.url}/history", timeout=5).json())


def test_one_owners_backlog_holds_up_no_other(
    stage: Stage, simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With SQS's order, jobs of two others wait for what ComfyUI has already: one that runs, and one that waits."""
    monkeypatch.setattr(FairSqsJobQueue, "group_of", staticmethod(lambda job_id: stage.job(job_id).owner))
    monkeypatch.setattr("executor.wiring.SqsJobQueue", FairSqsJobQueue)
    backlog = [stage.accept(sleeping(0.4), owner="ada") for _ in range(40)]
    with stage.executor(simulator.url):
        for owner in ("bob", "eve"):
            before = len(ran(simulator))
            wait_until(lambda before=before: len(ran(simulator)) >= before + 3, "some of the backlog")  # type: ignore[misc]
            had = len(ran(simulator))
            quick = stage.accept(sleeping(0.1), owner=owner)
            stage.ended(quick)
            assert ran(simulator).index(prompt_id(quick, 1)) <= had + 3  # one may end while the job is accepted
        assert not all(stage.job(job_id).status.ended for job_id in backlog)
        for job_id in backlog:
            if not stage.job(job_id).status.ended:
                stage.jobs.cancel(job_id, now=stage.job(job_id).created_at)
