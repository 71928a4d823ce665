"""Start, stop and restart a simulated server, as a process would: stopping breaks all connections at once."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

from aiohttp import web

from comfyui_simulator.control_routes import ControlRoutes
from comfyui_simulator.faults import Faults
from comfyui_simulator.file_routes import FileRoutes
from comfyui_simulator.info_routes import InfoRoutes
from comfyui_simulator.jobs_routes import JobsRoutes
from comfyui_simulator.listener import Listener
from comfyui_simulator.parts import Parts
from comfyui_simulator.prompt_routes import PromptRoutes
from comfyui_simulator.settings import SimulatorSettings
from comfyui_simulator.web_support import inject_faults, logger, refuse_foreign_origins, render_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_MAX_BODY_BYTES = 100 * 1024 * 1024
_START_TIMEOUT_SECONDS = 10.0
# Time limit for open requests when the server stops; their connections are closed by then. 0 means no limit.
_SHUTDOWN_SECONDS = 0.01


class RunningServer:
    """A server in the current event loop, as an async context manager."""

    def __init__(self, settings: SimulatorSettings, faults: Faults, data_dir: Path) -> None:
        self._settings = settings
        self.parts = Parts(settings, faults, data_dir)
        self._runner = web.AppRunner(
            self._application(), access_log=None, logger=logger, shutdown_timeout=_SHUTDOWN_SECONDS
        )
        self.port = settings.port

    def _application(self) -> web.Application:
        middlewares = [inject_faults(self.parts.faults), refuse_foreign_origins, render_errors]
        application = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=middlewares)
        routes = [
            web.get("/ws", self.parts.hub.serve),
            *PromptRoutes(self.parts).routes(),
            *InfoRoutes(self.parts).routes(),
            *FileRoutes(self.parts).routes(),
        ]
        if self._settings.newer_api:
            routes += JobsRoutes(self.parts).routes()
        if self._settings.control_api:
            routes += ControlRoutes(self.parts).routes()
        application.add_routes(routes)
        # Everything exists under /api, too; the page does not.
        copies = [web.RouteDef(r.method, f"/api{r.path}", r.handler, r.kwargs) for r in routes if r.path != "/"]
        application.add_routes(copies)
        return application

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner is not set up")
        self._listener = Listener(self._settings.host, self._settings.port, server)
        self.port = self._listener.port
        self._listener.start()
        self._publisher = asyncio.create_task(self.parts.hub.publish())
        self.parts.worker.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Abruptly, like a killed process: no closing handshakes, no responses to open requests (recorded: kill -9).
        await self._listener.abort()
        self.parts.worker.stop()
        self._publisher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._publisher
        await self._runner.cleanup()


class SimulatorServer:
    """A simulated server in its own thread, for tests.

    ```python
    with SimulatorServer(SimulatorSettings(seconds_per_step=0)) as server:
        requests.get(server.url + "/system_stats")
        server.faults.silent_sockets = True
    ```
    """

    def __init__(self, settings: SimulatorSettings | None = None) -> None:
        self.settings = settings or SimulatorSettings()
        self.faults = Faults()
        """The injected faults; they survive a restart."""
        self._port = self.settings.port
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._running: RunningServer | None = None
        self._error: BaseException | None = None

    @property
    def url(self) -> str:
        """The server's base URL, the same after a restart."""
        return f"http://{self.settings.host}:{self._port}"

    def start(self) -> None:
        """Start the server and wait until it is ready. Raises OSError when the port is in use."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="comfyui-simulator", daemon=True)
        self._thread.start()
        if not ready.wait(_START_TIMEOUT_SECONDS):
            raise TimeoutError("the simulator did not start")
        if self._error is not None:
            self.close()
            raise self._error

    def kill(self) -> None:
        """Stop the server as kill -9 would: connections break, queue and history are lost, the port is closed."""
        if self._loop is not None and self._stop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        self._thread = self._loop = self._stop = self._running = None

    def close(self) -> None:
        """Stop the server and delete its files, unless the caller chose their directory."""
        self.kill()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def restart(self) -> None:
        """Kill the server and start it again on the same port: queue and history are empty, files and faults stay."""
        self.kill()
        self.start()

    def close_sockets(self) -> None:
        """Break all WebSocket connections, as a network failure does; clients may reconnect."""
        self._call(lambda running: running.parts.hub.close_all())

    def lose_prompt(self, prompt_id: str) -> None:
        """Remove a waiting prompt from the queue, or a finished one from the history."""
        self._call(lambda running: running.parts.queue.forget(prompt_id))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, action: Callable[[RunningServer], object]) -> None:
        """Run an action in the event loop of the server and wait for it."""
        if self._loop is None or self._running is None:
            raise RuntimeError("the simulator is not running")
        running = self._running

        async def act() -> None:
            action(running)

        asyncio.run_coroutine_threadsafe(act(), self._loop).result()

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(ready))
        except OSError as error:
            self._error = error
            self._loop = self._stop = None
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        settings = dataclasses.replace(self.settings, port=self._port)
        async with RunningServer(settings, self.faults, self._data_dir()) as self._running:
            self._port = self._running.port
            ready.set()
            await self._stop.wait()

    def _data_dir(self) -> Path:
        if self.settings.data_dir is not None:
            return self.settings.data_dir
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="comfyui-simulator-")
        return Path(self._temporary.name)
