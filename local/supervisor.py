"""Start the processes of local mode in order, restart those that exit, and stop them in order.

embedded AWS ── tables, queues, bucket, bus ── workflows, keys ─┬─ executor ── ComfyUI, or its simulator
                                                               ├─ API process
                                                               └─ event sources
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError
from rich.console import Console

from gateway.aws.clients import Clients
from gateway.aws.dynamodb.audit_log import DynamoAuditLog
from gateway.aws.dynamodb.job_count_store import DynamoJobCountStore
from gateway.aws.dynamodb.workflow_store import DynamoWorkflowStore
from gateway.aws.s3 import S3ObjectStore
from gateway.errors import SettingsInvalidError
from gateway.settings import ApiSettings, ExecutorSettings
from local.banner import RunningGateway, show
from local.child_process import Child, free_port, is_responding
from local.data_dir import DataDir
from local.emulator import START_SECONDS, Emulator
from local.output_bucket import VARIABLES as OUTPUT_BUCKET_VARIABLES
from local.output_bucket import check_output_bucket, output_bucket_variables
from local.provision import PROVISIONED, provision
from local.recount_jobs import forget_counted, recount_jobs
from local.restarts import Restarts
from local.seed import parse_keys, seed_keys, seed_workflows
from local.stored_secret import stored_secret
from local.webhook_variables import SECRET_VARIABLES as WEBHOOK_SECRET_VARIABLES
from local.webhook_variables import receiver_variables, secret_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gateway.settings import LocalSettings
    from local.banner import Command

_PREFIX = "local-"  # of every resource name
_WATCH_SECONDS = 0.1
# In this order, with deadlines after Ctrl-C: five seconds in all. The event sources count what the first two write, and
# the executor may interrupt a prompt in the simulator.
_STOP_ORDER = ((("api", "executor"), 2.5), (("events", "simulator"), 3.5))
# The emulator saves its state in a moment, except on a busy machine: then wait, or the state is lost.
_SAVE_SECONDS = 20
_SAME_MOMENT_SECONDS = 0.2  # make and shells forward a signal to a process that the terminal has signaled as well
_EXECUTOR_GRACE_SECONDS = "1"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared with, not bound


class _StopRequestedError(Exception):
    """Ctrl-C or a signal."""


class Supervisor:
    """One run of local mode. `ephemeral`: delete all data on exit; `command`: for the examples in the banner."""

    def __init__(
        self, settings: LocalSettings, environment: Mapping[str, str], *, ephemeral: bool, command: Command
    ) -> None:
        self._settings = settings
        self._command = command
        self._keys = parse_keys(settings.api_keys)
        self._ephemeral = ephemeral
        self._environment = _base_environment(environment)
        self._output_bucket = output_bucket_variables(settings)
        self._open_access = not self._keys and settings.jwt_secret is None
        self._environment["CHOSEN_KEYS"] = "true"
        self._environment["OPEN_ACCESS"] = str(self._open_access).lower()
        open_to_others = settings.host not in _LOOPBACK
        self._environment |= receiver_variables(environment, open_access=self._open_access)
        self._retention_days = _check_host_settings(self._environment)
        self._children: list[Child] = []  # in start order: the embedded AWS is the first
        self._restarts: Restarts | None = None  # of a run that is up
        self._signalled_at: float | None = None
        self._console = Console(highlight=False, markup=False, emoji=False)
        if open_to_others and self._open_access:
            raise SettingsInvalidError(
                f"HOST: {settings.host} is open to other machines: set API_KEYS=a-long-random-key:admin or "
                "JWT_SECRET, or use 127.0.0.1"
            )

    def run(self) -> bool:
        """Run until Ctrl-C, SIGTERM or SIGHUP; after a second signal, only wait until the state is saved.

        Return whether it was saved. Raises SettingsInvalidError before any process starts, and ChildFailedError.
        """
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.umask(0o077)  # the files contain prompts, outputs and credentials
        check_output_bucket(self._output_bucket)
        with ExitStack() as cleanup:
            listener = cleanup.enter_context(_bound_socket(self._settings.host, self._settings.port))
            folder = self._settings.data_dir
            if self._ephemeral:
                folder = cleanup.enter_context(TemporaryDirectory(prefix="comfyui-gateway-"))
            data = cleanup.enter_context(DataDir(Path(folder)))
            cleanup.enter_context(self._signal_handlers())
            emulator = Emulator(
                state_dir=None if self._ephemeral else data.state,
                work_dir=data.logs,
                # It holds the lock of the folder as well: after a kill, no run may read the state before it is written.
                inherited_fds=[data.lock_fd],
            )
            self._children.append(emulator.child)
            try:
                self._start(emulator, data, listener)
                self._watch()
            except _StopRequestedError:
                self._print("Stopping …")
            finally:
                saved = self._stop(emulator)
            return saved

    def _start(self, emulator: Emulator, data: DataDir, listener: socket.socket) -> None:
        self._print("Starting …")
        comfyui_found = is_responding(f"{self._settings.comfyui_url}/system_stats")
        self._wait_until(emulator.is_ready, emulator.child, START_SECONDS)
        self._environment |= emulator.environment
        self._provision(emulator, data)
        comfyui_url = self._settings.comfyui_url if comfyui_found else self._start_simulator(data)
        self._start_child(
            "executor",
            ["executor"],
            data,
            {
                "COMFYUI_URL": comfyui_url,
                "SHUTDOWN_GRACE_SECONDS": _EXECUTOR_GRACE_SECONDS,
                **self._output_bucket,
            },
        )
        own_ports = [_port_of(emulator.endpoint_url), listener.getsockname()[1], _port_of(self._settings.comfyui_url)]
        functions = {
            **self._output_bucket,
            **secret_variables(self._settings, data.webhook_secret),
            "FILE_URL_SECRET": stored_secret(data.file_url_secret),
            "WEBHOOK_REFUSED_LOOPBACK_PORTS": ",".join(map(str, {*own_ports, _port_of(comfyui_url)})),
        }
        secret = self._settings.jwt_secret
        own = {**functions, **({"JWT_SECRET": secret.get_secret_value()} if secret else {})}
        api = self._start_child("api", ["local.api_main", str(listener.fileno())], data, own, listener)
        url = _url(listener)
        self._wait_until(lambda: is_responding(f"{url}/health"), api, START_SECONDS)
        # Last: the first requests do not need them, and starting them earlier would delay the others.
        in_webhooks = {"PUBLIC_URL": self._environment.get("PUBLIC_URL") or url}
        self._start_child("events", ["local.event_sources", _PREFIX], data, functions | in_webhooks)
        running = RunningGateway(
            url=url,
            command=self._command,
            comfyui_url=self._settings.comfyui_url,
            simulated=not comfyui_found,
            data_dir=None if self._ephemeral else data.path,
            logs=data.logs,
            api_keys=bool(self._keys),
            tokens=self._settings.jwt_secret is not None,
            webhook_secret=None if self._settings.webhook_secret else data.webhook_secret,
        )
        with _terminal_may_be_gone():
            show(running, self._console)

    def _provision(self, emulator: Emulator, data: DataDir) -> None:
        os.environ.update(emulator.environment)
        clients = Clients()
        names = provision(clients, prefix=_PREFIX, retention_days=self._retention_days)
        self._environment |= names
        data.write_environment({**emulator.environment, **names})
        recount_jobs(
            clients.dynamodb,
            names["TABLE_NAME"],
            DynamoJobCountStore(clients.dynamodb, names["TABLE_NAME"], self._retention_days),
        )
        objects = S3ObjectStore(clients.s3, names["BUCKET_NAME"])
        audit = DynamoAuditLog(clients.dynamodb, names["TABLE_NAME"], self._retention_days)
        seed_workflows(DynamoWorkflowStore(clients.dynamodb, names["TABLE_NAME"], objects, audit))
        seed_keys(clients.dynamodb, names["TABLE_NAME"], self._keys)
        # The emulator would wait for these connections when it stops.
        for client in (clients.dynamodb, clients.s3, clients.sqs, clients.events):
            client.close()

    def _start_simulator(self, data: DataDir) -> str:
        port = free_port()
        arguments = ["--host", "127.0.0.1", "--port", str(port), "--data-dir", str(data.simulator)]
        if self._settings.privacy_mode:
            arguments.append("--disable-metadata")
        url = f"http://127.0.0.1:{port}"
        simulator = self._start_child("simulator", ["comfyui_simulator", *arguments], data, {})
        self._wait_until(lambda: is_responding(f"{url}/system_stats"), simulator, START_SECONDS)
        return url

    def _start_child(
        self,
        name: str,
        module_and_arguments: list[str],
        data: DataDir,
        environment: Mapping[str, str],
        listener: socket.socket | None = None,
    ) -> Child:
        child = Child(
            name,
            [sys.executable, "-P", "-m", *module_and_arguments],
            environment={**self._environment, **environment},
            log_file=data.logs / f"{name}.log",
            inherited_fds=[listener.fileno()] if listener else [],
        )
        self._children.append(child)
        return child

    def _wait_until(self, ready: Callable[[], bool], child: Child, seconds: float) -> None:
        def ready_or_stopping() -> bool:
            self._raise_if_stopping()
            return ready()

        child.wait_until(ready_or_stopping, seconds=seconds)

    def _watch(self) -> None:
        self._restarts = Restarts(self._children, self._print, time.monotonic)
        while True:
            self._raise_if_stopping()
            self._restarts.check()
            time.sleep(_WATCH_SECONDS)

    def _raise_if_stopping(self) -> None:
        if self._signalled_at is not None:
            raise _StopRequestedError

    def _stop(self, emulator: Emulator) -> bool:
        started = time.monotonic()
        for names, stopped_after_seconds in _STOP_ORDER:
            children = [child for child in self._children if child.name in names]
            for child in children:  # at the same time: each may need a while
                child.request_stop()
            for child in children:
                child.stop(seconds=started + stopped_after_seconds - time.monotonic())
        if self._restarts is not None and self._restarts.restarted & {"events", "embedded AWS"}:
            self._forget_counts()
        saved = emulator.stop(seconds=_SAVE_SECONDS) or self._ephemeral
        if not saved:
            log = emulator.child.log_file
            self._print(f"The embedded AWS could not save its state; changes of this run may be lost. Log: {log}")
        return saved

    def _forget_counts(self) -> None:
        dynamodb = Clients().dynamodb
        try:
            forget_counted(dynamodb, self._environment["TABLE_NAME"])
        except BotoCoreError as error:  # the embedded AWS is not running: it could not save the marker either
            self._print(f"Job counts may be wrong until the next run: {type(error).__name__}")
        finally:
            dynamodb.close()  # the emulator would wait for this connection when it stops

    def _print(self, text: str) -> None:
        with _terminal_may_be_gone():
            self._console.print(text, soft_wrap=not self._console.is_terminal)

    @contextmanager
    def _signal_handlers(self) -> Iterator[None]:
        def count(*_: object) -> None:
            now = time.monotonic()
            if self._signalled_at is None:
                self._signalled_at = now
            elif now - self._signalled_at > _SAME_MOMENT_SECONDS:
                # Never the embedded AWS: it would lose all changes of this run. Its time is limited anyway.
                for child in self._children[1:]:
                    child.kill()

        # A signal that is ignored at the start stays ignored: nohup, and scripts for background jobs, rely on that.
        numbers = [
            number
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(number) is not signal.SIG_IGN
        ]
        before = {number: signal.signal(number, count) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _terminal_may_be_gone() -> Iterator[None]:
    # The run must stop in order even when its terminal is closed.
    try:
        yield
    except (OSError, SystemExit):  # Rich raises SystemExit for a broken pipe
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())  # also for buffered output
        os.close(devnull)


def _base_environment(environment: Mapping[str, str]) -> dict[str, str]:
    # Children do not see the AWS configuration of the user; secrets go only to the processes that need them.
    excluded = ("API_KEYS", "JWT_SECRET", "FILE_URL_SECRET", *WEBHOOK_SECRET_VARIABLES, *OUTPUT_BUCKET_VARIABLES)
    inherited = {
        name: value for name, value in environment.items() if not name.startswith("AWS_") and name not in excluded
    }
    direct = ",".join(filter(None, [inherited.get("NO_PROXY") or inherited.get("no_proxy"), *_LOOPBACK]))
    return {**inherited, "NO_PROXY": direct, "no_proxy": direct, "PYTHONUNBUFFERED": "1"}


def _check_host_settings(environment: Mapping[str, str]) -> int:
    # Settings that the children would reject much later. Return the retention time in days.
    complete = {**environment, **dict.fromkeys(PROVISIONED, "later")}
    complete.pop("COMFYUI_URL", None)  # checked by LocalSettings
    ExecutorSettings.from_environment(complete)
    return ApiSettings.from_environment(complete).retention_days


def _bound_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # otherwise a restart waits for old connections
        listener.bind((host, port))
    except socket.gaierror:
        listener.close()
        raise SettingsInvalidError(f"HOST: {host} is not an address of this machine") from None
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise SettingsInvalidError(f"HOST: {host} is not an address of this machine") from None
        if error.errno == errno.EADDRINUSE:
            raise SettingsInvalidError(f"PORT: {port} is in use by another program: choose another (--port)") from None
        raise SettingsInvalidError(f"PORT: cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


def _port_of(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = _ANY_ADDRESS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
