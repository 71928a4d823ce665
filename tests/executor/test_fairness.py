"""Fairness between owners: a backlog of one owner does not delay the jobs of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests

from gateway.domain.job import prompt_id
from testing.prompts import sleep_prompt
from testing.waiting import wait_until
from tests.executor.fair_queue import FairJobQueue

if TYPE_CHECKING:
    from comfyui_simulator.server import SimulatorServer
    from testing.executor_harness import InMemoryExecutorHarness


def executed(simulator: SimulatorServer) -> list[str]:
    """Return the ids of the prompts that ComfyUI has executed, in order."""
    return list(requests.get(f"{simulator.url}/history", timeout=5).json())


def test_a_backlog_of_one_owner_does_not_delay_others(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer
) -> None:
    """In the order of SQS fair queues, jobs of others wait only for prompts that are on ComfyUI already."""
    harness.queue = FairJobQueue(harness.queue, lambda job_id: harness.job(job_id).owner)
    backlog = [harness.submit(sleep_prompt(0.3), owner="ada") for _ in range(40)]
    with harness.run_executor(simulator.url, grace_seconds=0):
        for owner in ("bob", "eve"):
            before = len(executed(simulator))
            wait_until(lambda before=before: len(executed(simulator)) >= before + 3, "some of the backlog")  # type: ignore[misc]
            already_executed = len(executed(simulator))
            job_id = harness.submit(sleep_prompt(0.1), owner=owner)
            harness.wait_until_ended(job_id)
            # One running, one waiting, and one that may finish while the job is submitted.
            assert executed(simulator).index(prompt_id(job_id, 1)) <= already_executed + 3
        assert not all(harness.job(job_id).status.ended for job_id in backlog)
