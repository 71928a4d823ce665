"""Entry point of local mode's API process: `python -m local.api_main FD`.

FD: a bound TCP socket that this process inherits from the supervisor.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from functions.routing import API_FUNCTIONS, module_of
from gateway.aws.clients import Clients
from gateway.aws.resources import REQUEST_SECONDS
from gateway.settings import ApiSettings
from local.api_server import ApiServer
from local.file_server import FileServer
from local.worker_pool import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.wiring.entry import Handler

# More than may wait with `?wait=`: see local.waiting. Each one that has served a request needs 15 to 30 MB of its own.
WORKERS = 24
_BACKLOG = 512
_FINISH_SECONDS = 1.0


def load_handlers() -> dict[str, Handler]:
    """Import every function of the API. Each wires itself at import, as in Lambda: here before the fork."""
    os.environ["AWS_LAMBDA_FUNCTION_NAME"] = "local"
    return {name: importlib.import_module(module_of(name)).handler for name in API_FUNCTIONS}


def serve(
    handlers: Mapping[str, Handler],
    *,
    listener_fd: int,
    workers: int = WORKERS,
    timeout_seconds: float = REQUEST_SECONDS,
    files: FileServer | None = None,
) -> None:
    """Serve until SIGTERM. `listener_fd`: a bound TCP socket."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("api").setLevel(logging.INFO)
    pool = WorkerPool(handlers, size=workers, timeout_seconds=timeout_seconds)
    try:
        asyncio.run(_serve(pool, files, listener_fd))
    finally:
        pool.close()
    # A normal exit frees all imported modules, which takes a second.
    sys.stdout.flush()
    os._exit(0)


async def _serve(pool: WorkerPool, files: FileServer | None, listener_fd: int) -> None:
    server = ApiServer(pool, files)
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor stops this process
    listening = await loop.create_server(server, sock=socket.socket(fileno=listener_fd), backlog=_BACKLOG)
    await stopping.wait()
    listening.close()
    server.pre_shutdown()
    await server.shutdown(_FINISH_SECONDS)


def main(listener_fd: int) -> None:
    """Serve the functions with the settings in the environment."""
    settings = ApiSettings.from_environment(os.environ)
    files = None
    if settings.file_url_secret is not None:
        secret = settings.file_url_secret.get_secret_value()
        files = FileServer(Clients().s3, settings.bucket_name, secret=secret, origins=settings.cors_origins)
    serve(load_handlers(), listener_fd=listener_fd, files=files)


if __name__ == "__main__":
    main(int(sys.argv[1]))
