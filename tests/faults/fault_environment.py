"""What the fault tests share: an executor harness, a ComfyUI, fault proxies, and checks of the invariants."""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import requests

from gateway.domain.job import JobStatus, ended_event_id
from testing.executor_harness import short_intervals
from testing.invariant_observer import InvariantObserver
from testing.waiting import wait_until
from tests.faults.executor_process import ExecutorProcess, executor_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from comfyui_simulator.server import SimulatorServer
    from gateway.domain.job import Job
    from testing.executor_harness import AwsExecutorHarness, ExecutorHarness, InMemoryExecutorHarness
    from testing.fault_proxy import FaultProxy

# The minimum: each test of a killed executor waits for this long.
LEASE_SECONDS = 2
_OBSERVED_SECONDS = 1.0


class ComfyUIView:
    """A simulated ComfyUI as its clients see it."""

    def __init__(self, simulator: SimulatorServer) -> None:
        self.simulator = simulator

    def prompt_count(self) -> int:
        """Count the prompts that run and wait in ComfyUI."""
        return sum(map(len, self._queue().values()))

    def waiting_prompt_id(self) -> str:
        """Return the id of the one prompt that waits in ComfyUI."""
        ((_, prompt_id, *_),) = self._queue()["queue_pending"]
        return prompt_id

    def executed_prompt_count(self, simulator: SimulatorServer | None = None) -> int:
        """Count the prompts that ComfyUI has executed."""
        return len(self.history(simulator))

    def history(self, simulator: SimulatorServer | None = None) -> dict[str, Any]:
        """Read ComfyUI's history."""
        url = (simulator or self.simulator).url
        entries: dict[str, Any] = requests.get(f"{url}/history", timeout=5).json()
        return entries

    def _queue(self) -> dict[str, list[tuple[int, str]]]:
        state: dict[str, list[tuple[int, str]]] = requests.get(f"{self.simulator.url}/queue", timeout=5).json()
        return state


def is_released(harness: ExecutorHarness, job_id: str) -> bool:
    """Return whether a job is between two attempts."""
    lease_expires_at = harness.job(job_id).lease_expires_at
    return lease_expires_at is not None and lease_expires_at.timestamp() == 0


class ComfyUIFaultEnvironment(ComfyUIView):
    """For faults of ComfyUI: executors on in-memory ports, and a fault proxy in front of ComfyUI."""

    def __init__(self, harness: InMemoryExecutorHarness, simulator: SimulatorServer, comfyui_proxy: FaultProxy) -> None:
        super().__init__(simulator)
        self.harness = harness
        self.comfyui_proxy = comfyui_proxy

    def run_executor(
        self, comfyui_url: str | None = None, **settings: str
    ) -> AbstractContextManager[Callable[[], None]]:
        """Run an executor in threads, with direct access to ComfyUI unless another URL is given."""
        return self.harness.run_executor(comfyui_url or self.simulator.url, grace_seconds=0.5, **settings)

    def is_released(self, job_id: str) -> bool:
        """Return whether a job is between two attempts."""
        return is_released(self.harness, job_id)

    def assert_nothing_is_received(self) -> None:
        """Observe for a while that no executor polls a queue."""
        before = self.harness.receive_calls.total()
        time.sleep(_OBSERVED_SECONDS)
        assert self.harness.receive_calls.total() == before

    def check_ended(self, *job_ids: str) -> list[Job]:
        """Wait until the jobs have ended, check that nothing remains of them but one result, and return them."""
        jobs = [self.harness.wait_until_ended(job_id) for job_id in job_ids]
        wait_until(lambda: self.harness.message_count() == 0, "empty queues")
        wait_until(lambda: self.prompt_count() == 0, "an idle ComfyUI")
        for job in jobs:
            assert self.harness.job(job.id) == job
            events = [event for event in self.harness.ports.events.published if event.job_id == job.id]
            assert {(event.event_id, event.status) for event in events} == {(ended_event_id(job.id), job.status)}
            assert bool(job.outputs) == (job.status is JobStatus.SUCCEEDED)
            for output in job.outputs or ():
                assert output.key == f"outputs/{job.id}/{job.attempt}/{output.filename}"
                content = self.harness.objects.get(output.key)
                assert (len(content), hashlib.sha256(content).hexdigest()) == (output.size, output.sha256)
        return jobs


class FaultEnvironment(ComfyUIView):
    """For faults of executors and AWS: executors as processes, and fault proxies in front of AWS and ComfyUI."""

    def __init__(
        self,
        harness: AwsExecutorHarness,
        simulator: SimulatorServer,
        aws_proxy: FaultProxy,
        comfyui_proxy: FaultProxy,
        folder: Path,
    ) -> None:
        super().__init__(simulator)
        self.harness = harness
        self.aws_proxy = aws_proxy
        self.comfyui_proxy = comfyui_proxy
        self.lease_seconds = LEASE_SECONDS
        self._folder = folder
        self._process_count = 0
        self._observer = InvariantObserver(harness)

    @contextmanager
    def executor_process(
        self, comfyui_url: str | None = None, wrapper: Sequence[str] = (), **settings: str
    ) -> Iterator[ExecutorProcess]:
        """Run an executor as a process, behind both proxies, or with direct access to another ComfyUI."""
        self._process_count += 1
        environment = {
            **self.harness.environment,
            "HTTP_PROXY": self.aws_proxy.url,
            "COMFYUI_URL": comfyui_url or self.comfyui_proxy.url,
            "LEASE_SECONDS": str(self.lease_seconds),
            "EXECUTOR_ID": f"process-{self._process_count}",
            **settings,
        }
        with executor_process(environment, self._folder / f"executor-{self._process_count}.log", wrapper) as process:
            yield process

    @contextmanager
    def healthy_executor(
        self, comfyui_url: str | None = None, executor_id: str = "healthy", **settings: str
    ) -> Iterator[Callable[[], None]]:
        """Run an executor in threads of this process, without proxies, until the end of the block."""
        settings |= {"LEASE_SECONDS": str(self.lease_seconds), "EXECUTOR_ID": executor_id}
        url = comfyui_url or self.simulator.url
        # Half a second of grace: nothing remains to do when a test succeeds.
        with short_intervals(), self.harness.run_executor(url, grace_seconds=0.5, **settings) as stop:
            yield stop

    def assert_nothing_is_received(self) -> None:
        """Observe for a while that no executor process receives messages."""
        before = self.aws_proxy.request_counts["ReceiveMessage"]
        time.sleep(_OBSERVED_SECONDS)
        assert self.aws_proxy.request_counts["ReceiveMessage"] == before

    def is_released(self, job_id: str) -> bool:
        """Return whether a job is between two attempts."""
        return is_released(self.harness, job_id)

    def check_ended(self, *job_ids: str, comfyuis: tuple[SimulatorServer, ...] = ()) -> list[Job]:
        """Wait until the jobs have ended, check the invariants, and return the jobs."""
        for job_id in job_ids:
            self.harness.wait_until_ended(job_id)
        urls = [comfyui.url for comfyui in (self.simulator, *comfyuis)]
        self._observer.check(*job_ids, lease_seconds=self.lease_seconds, comfyui_urls=urls)
        return [self.harness.job(job_id) for job_id in job_ids]
