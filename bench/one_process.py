"""Run an executor and a ComfyUI in threads of this process, so that their AWS calls can be recorded."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from comfyui_simulator import SimulatorServer, SimulatorSettings
from executor.wiring import assemble, aws_ports
from gateway.settings import ExecutorSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def executor(*, grace_seconds: float = 0) -> Iterator[None]:
    """Run an executor next to a ComfyUI. `grace_seconds`: time for its long polls to end; later ones keep running."""
    fast = SimulatorSettings(seconds_per_step=0.0, history_lag_seconds=(0.0, 0.0))
    with SimulatorServer(fast) as comfyui:
        settings = ExecutorSettings.from_environment({**os.environ, "COMFYUI_URL": comfyui.url})
        app = assemble(settings, aws_ports(settings))
        loop = threading.Thread(target=app.worker.run, args=(grace_seconds,))
        for part in (app.socket, app.heartbeat, loop):
            part.start()
        try:
            yield
        finally:
            app.worker.stop()
            loop.join()
            app.heartbeat.stop()
            app.socket.stop()
