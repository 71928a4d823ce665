"""The whole gateway with two hosts, each with an executor and a ComfyUI, and a fault injector in front of AWS."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from stack import START_SECONDS

from gateway.aws.clients import Clients
from local.child_process import Child, free_port, is_responding
from local.emulator import Emulator
from local.provision import provision
from testing.executor_harness import AwsExecutorHarness
from testing.fault_proxy import FaultProxy, aws_step
from testing.invariant_observer import InvariantObserver

if TYPE_CHECKING:
    from collections.abc import Sequence

LEASE_SECONDS = 10  # long enough for all retries of boto3
_PREFIX = "soak-"
_SUSPENSION_SECONDS = 3.0
_HOSTS = 2


class Host:
    """An executor and its ComfyUI. Each method that stops one of them restarts it before it returns."""

    def __init__(self, number: int, folder: Path, environment: dict[str, str]) -> None:
        self._number = number
        self._folder = folder
        self._environment = environment
        self._port = free_port()
        self._starts = 0
        self.comfyui_url = f"http://127.0.0.1:{self._port}"
        self._comfyui = self._start_comfyui()
        self._executor = self._start_executor()

    def kill_executor(self) -> None:
        """Kill the executor and restart it."""
        self._executor.stop(seconds=0)
        self._executor = self._start_executor()

    def stop_executor(self) -> None:
        """Stop the executor with SIGTERM, as an operator does, and restart it."""
        self._executor.stop(seconds=20)
        self._executor = self._start_executor()

    def kill_comfyui(self) -> None:
        """Kill ComfyUI, which loses its queue and history, and restart it."""
        self._comfyui.stop(seconds=0)
        self._comfyui = self._start_comfyui()

    def pause_comfyui(self) -> None:
        """Suspend ComfyUI for a while."""
        os.kill(self._comfyui.pid, signal.SIGSTOP)
        time.sleep(_SUSPENSION_SECONDS)
        os.kill(self._comfyui.pid, signal.SIGCONT)

    def end(self) -> None:
        """Kill both."""
        for child in (self._executor, self._comfyui):
            child.stop(seconds=0)

    def _start_comfyui(self) -> Child:
        data = self._folder / f"comfyui-{self._number}"
        command = ["-m", "comfyui_simulator", "--port", str(self._port), "--data-dir", str(data)]
        child = self._start("comfyui", command, self._environment)
        child.wait_until(lambda: is_responding(f"{self.comfyui_url}/system_stats"), seconds=START_SECONDS)
        return child

    def _start_executor(self) -> Child:
        own = {"COMFYUI_URL": self.comfyui_url, "EXECUTOR_ID": f"host-{self._number}-{self._starts}"}
        return self._start("executor", ["-m", "executor"], {**self._environment, **own})

    def _start(self, name: str, command: Sequence[str], environment: dict[str, str]) -> Child:
        self._starts += 1
        log_file = self._folder / f"{name}-{self._number}-{self._starts}.log"
        return Child(name, [sys.executable, *command], environment=environment, log_file=log_file)


class SoakStack:
    """The whole gateway, as a context manager. Its calls to AWS go through `proxy`; those of `harness` do not."""

    def __enter__(self) -> Self:
        self._cleanup = ExitStack()
        with ExitStack() as starting:
            self._start(starting)
            self._cleanup = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def _start(self, cleanup: ExitStack) -> None:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="bench-soak-")))
        emulator = cleanup.enter_context(Emulator(state_dir=None, work_dir=folder))
        os.environ.update(emulator.environment)
        clients = Clients()
        names = provision(clients, prefix=_PREFIX, retention_days=30)
        self.harness = AwsExecutorHarness({**emulator.environment, **names}, clients)
        self.observer = InvariantObserver(self.harness)
        self.proxy = cleanup.enter_context(FaultProxy(emulator.endpoint_url, aws_step))
        through_gate = {
            name: value.replace(emulator.endpoint_url, self.proxy.url)
            for name, value in {**emulator.environment, **names}.items()
        }
        environment = {
            **os.environ,
            **through_gate,
            "OPEN_ACCESS": "true",
            "RATE_LIMIT_MAX": "1000000000",
            "LEASE_SECONDS": str(LEASE_SECONDS),
            "WEBHOOK_SECRET": "x" * 32,
            "WEBHOOK_ALLOW_HTTP": "true",
            "WEBHOOK_ALLOW_LOOPBACK": "true",
        }
        self.hosts = [Host(number, folder, environment) for number in range(_HOSTS)]
        for host in self.hosts:
            cleanup.callback(host.end)
        command = [sys.executable, "-m", "local.event_sources", _PREFIX]
        events = Child("events", command, environment=environment, log_file=folder / "events.log")
        cleanup.callback(events.stop, seconds=5)
        listener = cleanup.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        api = Child(
            "api",
            [sys.executable, "-m", "local.api_main", str(listener.fileno())],
            environment=environment,
            log_file=folder / "api.log",
            inherited_fds=[listener.fileno()],
        )
        cleanup.callback(api.stop, seconds=5)
        api.wait_until(lambda: is_responding(f"{self.url}/health"), seconds=START_SECONDS)

    def webhooks_left(self) -> int:
        """Count the messages in the queue of webhooks, and in its dead-letter queue."""
        sqs = self.harness.clients.sqs
        left = 0
        for url in (url for url in sqs.list_queues()["QueueUrls"] if "webhooks" in url):
            attributes = sqs.get_queue_attributes(
                QueueUrl=url,
                AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
            )["Attributes"]
            left += sum(map(int, attributes.values()))
        return left
