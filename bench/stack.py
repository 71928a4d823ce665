"""Real processes to measure: the embedded AWS, a ComfyUI or its simulator, executors."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import requests

from cli.local.child import Child
from cli.local.emulator import Emulator
from cli.local.loopback import answers, free_port
from cli.local.provision import provision
from gateway.aws.clients import Clients
from gateway.aws.job_queue import SqsJobQueue
from gateway.aws.job_store import DynamoJobStore
from gateway.domain import instant
from gateway.domain.job import Job, Priority
from gateway.domain.messages import JobMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

START_SECONDS, END_SECONDS = 60, 120
_REAL_COMFYUI = Path(__file__).parent.parent / "tests" / "comfyui" / "server" / "comfyui.sh"


def wait_until(condition: Callable[[], object], what: str, seconds: float) -> None:
    """Wait for a condition. Raises TimeoutError when it does not come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


class Stack:
    """The AWS side, with jobs accepted as the API does; a context manager that ends every process it started."""

    def __init__(self) -> None:
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        self.folder = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        emulator = self._cleanup.enter_context(Emulator(state_dir=None, work_dir=self.folder))
        os.environ.update(emulator.environment)
        self.clients = Clients()
        names = provision(self.clients, prefix="bench-", retention_days=30)
        self.environment = {**os.environ, **emulator.environment, **names}
        self.jobs = DynamoJobStore(self.clients.dynamodb, names["TABLE_NAME"], 30)
        urls = {priority: names[f"{priority.upper()}_QUEUE_URL"] for priority in Priority}
        self.queue = SqsJobQueue(self.clients.sqs, urls)
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def accept(
        self, prompt: Mapping[str, Any], *, priority: Priority = Priority.NORMAL, owner: str = "somebody"
    ) -> str:
        """Put a job and send its message; return its id."""
        job = Job(
            id=str(uuid.uuid4()),
            owner=owner,
            workflow_id="bench",
            workflow_version=1,
            template_key="workflows/bench/1.json",
            priority=priority,
            inputs={},
            correlation_id="bench",
            created_at=instant.now(),
        )
        self.jobs.create(job)
        message = JobMessage(job_id=job.id, priority=priority, correlation_id="bench", prompt=dict(prompt))
        self.queue.send(message, group=owner)
        return job.id

    def wait_for(self, job_ids: Iterable[str]) -> None:
        """Wait until jobs have ended; their records must not have been removed. Raises TimeoutError."""
        for job_id in job_ids:
            wait_until(lambda: self._ended(job_id), "the end of a job", END_SECONDS)  # noqa: B023  it is waited for here

    def _ended(self, job_id: str) -> bool:
        job = self.jobs.get(job_id)
        return job is not None and job.status.ended

    @contextmanager
    def executor(self, comfyui_url: str, **settings: str) -> Iterator[Child]:
        """Run an executor; at the end it is killed. Its long polls may then still take a message each."""
        child = Child(
            "executor",
            [sys.executable, "-m", "executor"],
            environment={**self.environment, "COMFYUI_URL": comfyui_url, **settings},
            log_file=self.folder / f"executor-{uuid.uuid4().hex[:8]}.log",
        )
        try:
            yield child
        finally:
            child.stop(seconds=0)


@contextmanager
def comfyui(*, real: bool) -> Iterator[str]:
    """Run a ComfyUI on the CPU, or its simulator; give its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="bench-comfyui-") as folder:
        base = Path(folder, "base")
        command = (
            ["bash", str(_REAL_COMFYUI), "serve", str(port), str(base)]
            if real
            else [sys.executable, "-m", "cli.comfyui_simulator", "--port", str(port), "--data-dir", str(base)]
        )
        child = Child("ComfyUI", command, environment=dict(os.environ), log_file=Path(folder, "log"))
        try:
            child.wait_until(lambda: answers(f"{url}/system_stats"), seconds=START_SECONDS)
            yield url
        finally:
            child.kill()


@contextmanager
def gateway(comfyui_url: str) -> Iterator[str]:
    """Run the whole gateway as `make run` does; give its address."""
    port = free_port()
    variables = {"PORT": str(port), "COMFYUI_URL": comfyui_url, "RATE_LIMIT_MAX": "0"}
    with tempfile.TemporaryDirectory(prefix="bench-gateway-") as folder:
        child = Child(
            "gateway",
            [sys.executable, "-m", "cli.main", "run", "--ephemeral"],
            environment={**os.environ, **variables},
            log_file=Path(folder, "log"),
        )
        try:
            child.wait_until(lambda: "is running at" in child.log_file.read_text(), seconds=START_SECONDS)
            yield f"http://127.0.0.1:{port}"
        finally:
            child.stop(seconds=10)


def sleeping(seconds: float, *, output_mib: int = 0) -> dict[str, Any]:
    """Make a prompt that keeps a GPU for so long without using this machine's cores, and saves a file of that size."""
    prompt: dict[str, Any] = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
        "2": {
            "class_type": "LabSleep",
            "inputs": {
                "image": ["1", 0],
                "seconds": seconds,
                "steps": 10,
                "interruptible": True,
                "progress": True,
                "salt": uuid.uuid4().int % 2**31,  # never from ComfyUI's cache
            },
        },
    }
    if not output_mib:
        save = {"images": ["2", 0], "filename_prefix": "bench"}
        return {**prompt, "3": {"class_type": "SaveImage", "inputs": save}}
    # Latents of 512 x 512 have 4 channels of 64 x 64 floats: 64 KiB each.
    latents = {"width": 512, "height": 512, "batch_size": 16 * output_mib}
    return {
        **prompt,
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
        "4": {"class_type": "EmptyLatentImage", "inputs": latents},
        "5": {"class_type": "SaveLatent", "inputs": {"samples": ["4", 0], "filename_prefix": "bench"}},
    }


def runs(comfyui_url: str) -> list[tuple[int, int]]:
    """Read from ComfyUI's history when each prompt began and ended, in epoch milliseconds, in order."""
    history = requests.get(f"{comfyui_url}/history", timeout=30).json()
    found = []
    for entry in history.values():
        messages = dict(entry["status"]["messages"])
        found.append((messages["execution_start"]["timestamp"], messages["execution_success"]["timestamp"]))
    return sorted(found)


def forget_runs(comfyui_url: str) -> None:
    """Empty ComfyUI's history."""
    requests.post(f"{comfyui_url}/history", json={"clear": True}, timeout=30).raise_for_status()
