"""An executor, a ComfyUI and a receiver of webhooks in threads of this process, so that what they do can be seen."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

from cli.comfyui_simulator import SimulatorServer, SimulatorSettings
from executor.wiring import assemble
from gateway.settings import ExecutorSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def executor(*, grace_seconds: float = 0) -> Iterator[None]:
    """Run an executor beside a ComfyUI. `grace_seconds`: how long its long polls get to end; they go on otherwise."""
    fast = SimulatorSettings(seconds_per_step=0.0, history_lag_seconds=(0.0, 0.0))
    with SimulatorServer(fast) as comfyui:
        parts = assemble(ExecutorSettings.from_environment({**os.environ, "COMFYUI_URL": comfyui.url}))
        loop = threading.Thread(target=parts.worker.run, args=(grace_seconds,))
        for part in (parts.events, parts.reporter, loop):
            part.start()
        yield
        parts.worker.stop()
        loop.join()
        parts.reporter.stop()
        parts.events.stop()


@contextmanager
def receiver() -> Iterator[str]:
    """Run what takes webhooks; give its address. Functions may send to it."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    before = dict(os.environ)
    os.environ.update(WEBHOOK_SECRET="x" * 32, WEBHOOK_ALLOW_HTTP="true", WEBHOOK_ALLOW_LOOPBACK="true")
    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        os.environ.clear()
        os.environ.update(before)
