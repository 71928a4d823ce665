"""One ComfyUI, one AWS, a gate before each, and executors between them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import requests

from tests.faults.executor_process import ExecutorProcess, executor_process
from tests.faults.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from comfyui_simulator.server import SimulatorServer
    from gateway.domain.job import Job
    from tests.executor.stage import Stage
    from tests.faults.gate import Gate

# As short as can be: it is how long each test waits for a job whose executor was killed.
LEASE_SECONDS = 2
_WATCHED_SECONDS = 2.0


class Scene:
    """What a test does, breaks and sees."""

    def __init__(
        self, stage: Stage, simulator: SimulatorServer, aws_gate: Gate, comfyui_gate: Gate, folder: Path
    ) -> None:
        self.stage = stage
        self.simulator = simulator
        self.aws_gate = aws_gate
        self.comfyui_gate = comfyui_gate
        self._folder = folder
        self._processes = 0
        self.lease_seconds = LEASE_SECONDS
        self._witness = Witness(stage)

    @contextmanager
    def executor(
        self, comfyui_url: str | None = None, wrapper: Sequence[str] = (), **settings: str
    ) -> Iterator[ExecutorProcess]:
        """Run an executor as a process, with both gates in its way, or straight to another ComfyUI."""
        self._processes += 1
        environment = {name: self._through_gate(value) for name, value in self.stage.environment.items()}
        environment |= {
            "COMFYUI_URL": comfyui_url or self.comfyui_gate.url,
            "LEASE_SECONDS": str(self.lease_seconds),
            "EXECUTOR_ID": f"process-{self._processes}",
            **settings,
        }
        with executor_process(environment, self._folder / f"executor-{self._processes}.log", wrapper) as process:
            yield process

    def survivor(
        self, comfyui_url: str | None = None, executor_id: str = "survivor", **settings: str
    ) -> AbstractContextManager[Callable[[], None]]:
        """Run an executor in this process that nothing comes in the way of, until the end of the block."""
        return self.stage.executor(
            comfyui_url or self.simulator.url,
            grace_seconds=0.5,  # nothing is left to do when a test ends well
            LEASE_SECONDS=str(self.lease_seconds),
            EXECUTOR_ID=executor_id,
            **settings,
        )

    def queued_in_comfyui(self) -> int:
        """Count the prompts that run and wait in ComfyUI."""
        return sum(map(len, self._queue().values()))

    def waiting_in_comfyui(self) -> str:
        """Name the one prompt that waits there."""
        ((_, prompt_id, *_),) = self._queue()["queue_pending"]
        return prompt_id

    def nothing_is_received(self) -> None:
        """PromptProgress for a while that no executor looks for messages."""
        received = self.aws_gate.passed["ReceiveMessage"]
        time.sleep(_WATCHED_SECONDS)
        assert self.aws_gate.passed["ReceiveMessage"] == received

    def given_back(self, job_id: str) -> bool:
        """Tell whether a job is between two attempts."""
        stands_until = self.stage.job(job_id).lease_expires_at
        return stands_until is not None and stands_until.timestamp() == 0

    def well_ended(self, *job_ids: str, comfyuis: tuple[SimulatorServer, ...] = ()) -> list[Job]:
        """Wait for the ends of jobs, and hold everything that happened against the invariants."""
        for job_id in job_ids:
            self.stage.ended(job_id)
        urls = [comfyui.url for comfyui in (self.simulator, *comfyuis)]
        self._witness.check(*job_ids, lease_seconds=self.lease_seconds, comfyui_urls=urls)
        return [self.stage.job(job_id) for job_id in job_ids]

    def prompts_run(self, simulator: SimulatorServer | None = None) -> int:
        """Count the prompts that ComfyUI has run to their end."""
        return len(self.history(simulator))

    def history(self, simulator: SimulatorServer | None = None) -> dict[str, Any]:
        """Read what ComfyUI keeps of the prompts that it ran."""
        url = (simulator or self.simulator).url
        entries: dict[str, Any] = requests.get(f"{url}/history", timeout=5).json()
        return entries

    def executors_at_work(self) -> int:
        """Count the executors that have reported."""
        return self.stage.clients.dynamodb.query(
            TableName=self.stage.environment["TABLE_NAME"],
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": "EXECUTOR"}},
        )["Count"]

    def _queue(self) -> dict[str, list[tuple[int, str]]]:
        state: dict[str, list[tuple[int, str]]] = requests.get(f"{self.simulator.url}/queue", timeout=5).json()
        return state

    def _through_gate(self, value: str) -> str:
        return value.replace(self.stage.environment["AWS_ENDPOINT_URL"], self.aws_gate.url)
