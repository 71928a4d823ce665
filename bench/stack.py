"""Start the processes to measure: the embedded AWS, a ComfyUI or its simulator, executors."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import requests

from gateway.aws.clients import Clients
from gateway.aws.dynamodb.job_store import DynamoJobStore
from gateway.aws.sqs.job_queue import SqsJobQueue
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import Job, Priority
from gateway.domain.messages import JobMessage
from local.child_process import Child, free_port, is_responding
from local.emulator import Emulator
from local.provision import provision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

START_SECONDS, END_SECONDS = 60, 120
_REAL_COMFYUI = Path(__file__).parent.parent / "tests" / "comfyui" / "server" / "comfyui.sh"
_PROXY = Path(sys.prefix, "bench", "bin", "comfy-api-proxy")


def wait_until(condition: Callable[[], object], what: str, seconds: float) -> None:
    """Wait for a condition. Raises TimeoutError when it stays false."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


class Stack:
    """The AWS side, with jobs created as by the API; a context manager that stops every process it started."""

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
            created_at=SYSTEM_CLOCK.now(),
        )
        self.jobs.create(job)
        message = JobMessage(job_id=job.id, priority=priority, correlation_id="bench", prompt=dict(prompt))
        self.queue.send(message, group=owner)
        return job.id

    def wait_for(self, job_ids: Iterable[str]) -> None:
        """Wait until jobs have ended; their records must not have been removed. Raises TimeoutError."""
        for job_id in job_ids:
            wait_until(lambda: self._ended(job_id), "the end of a job", END_SECONDS)  # noqa: B023  called within the iteration

    def _ended(self, job_id: str) -> bool:
        job = self.jobs.get(job_id)
        return job is not None and job.status.ended

    @contextmanager
    def executor(self, comfyui_url: str, **settings: str) -> Iterator[Child]:
        """Run an executor; at the end it is killed. Its long polls may still receive one message each."""
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
    """Run a ComfyUI on the CPU, or the simulator; yield its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="bench-comfyui-") as folder:
        base = Path(folder, "base")
        command = (
            ["bash", str(_REAL_COMFYUI), "serve", str(port), str(base)]
            if real
            else [sys.executable, "-m", "comfyui_simulator", "--port", str(port), "--data-dir", str(base)]
        )
        child = Child("ComfyUI", command, environment=dict(os.environ), log_file=Path(folder, "log"))
        try:
            child.wait_until(lambda: is_responding(f"{url}/system_stats"), seconds=START_SECONDS)
            yield url
        finally:
            child.kill()


@contextmanager
def gateway(comfyui_url: str, **settings: str) -> Iterator[str]:
    """Run the whole gateway as `make run` does, with a rate limit that is never reached; yield its address."""
    port = free_port()
    variables = {"PORT": str(port), "COMFYUI_URL": comfyui_url, "RATE_LIMIT_MAX": "1000000000", **settings}
    with tempfile.TemporaryDirectory(prefix="bench-gateway-") as folder:
        child = Child(
            "gateway",
            [sys.executable, "-m", "cli", "run", "--ephemeral"],
            environment={**os.environ, **variables},
            log_file=Path(folder, "log"),
        )
        try:
            child.wait_until(lambda: "is running at" in child.log_file.read_text(), seconds=START_SECONDS)
            yield f"http://127.0.0.1:{port}"
        finally:
            child.stop(seconds=10)


@contextmanager
def local_api() -> Iterator[str]:
    """Run the API process of local mode alone, with the environment of this process; yield its address."""
    with tempfile.TemporaryDirectory(prefix="bench-api-") as folder, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        child = Child(
            "api",
            [sys.executable, "-m", "local.api_main", str(listener.fileno())],
            environment=dict(os.environ),
            log_file=Path(folder, "log"),
            inherited_fds=[listener.fileno()],
        )
        try:
            child.wait_until(lambda: is_responding(f"{url}/health"), seconds=START_SECONDS)
            yield url
        finally:
            child.stop(seconds=5)


@contextmanager
def proxy(comfyui_url: str) -> Iterator[str | None]:
    """Run the Comfy API v2 proxy; yield its address, or None when it is not installed."""
    if not _PROXY.exists():
        print("skipping the Comfy API v2 proxy: `make bench` installs it", file=sys.stderr)
        yield None
        return
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="bench-proxy-") as folder:
        command = [str(_PROXY), "--comfyui", comfyui_url, "--port", str(port)]
        child = Child("proxy", command, environment=dict(os.environ), log_file=Path(folder, "log"))
        try:
            child.wait_until(lambda: is_responding(f"{url}/api/v2/health"), seconds=START_SECONDS)
            yield url
        finally:
            child.kill()


def runs(comfyui_url: str) -> list[tuple[int, int]]:
    """Read from ComfyUI's history when each prompt started and ended, in epoch milliseconds, in order."""
    history = requests.get(f"{comfyui_url}/history", timeout=30).json()
    found = []
    for entry in history.values():
        messages = dict(entry["status"]["messages"])
        found.append((messages["execution_start"]["timestamp"], messages["execution_success"]["timestamp"]))
    return sorted(found)


def forget_runs(comfyui_url: str) -> None:
    """Empty ComfyUI's history."""
    requests.post(f"{comfyui_url}/history", json={"clear": True}, timeout=30).raise_for_status()
