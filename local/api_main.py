"""Entry point of local mode's API process: `python -m local.api_main FD`.

FD: a bound TCP socket that this process inherits from the supervisor.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from functions.routing import API_FUNCTIONS, module_of
from gateway.aws.resources import REQUEST_SECONDS
from local import gunicorn_server
from local.api_server import ApiServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.wiring.entry import Handler

# Sixteen clients that wait with `?wait=25` leave eight workers for the others. Each worker that has served a request
# needs 15 to 30 MB of its own.
WORKERS = 24


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
) -> None:
    """Serve until SIGTERM. `listener_fd`: a bound TCP socket. Does not return."""
    gunicorn_server.serve(ApiServer(handlers, timeout_seconds), listener_fd=listener_fd, workers=workers)


if __name__ == "__main__":
    serve(load_handlers(), listener_fd=int(sys.argv[1]))
