"""Receive webhooks and record the time of each."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class ReceivedWebhook:
    """One webhook. `id`: from its header, the same for each attempt; `at`: epoch seconds."""

    id: str
    job_id: str
    status: str
    at: float


@contextmanager
def receiver() -> Iterator[tuple[str, list[ReceivedWebhook]]]:
    """Receive webhooks on this machine; yield the address, and the list of received webhooks."""
    received: list[ReceivedWebhook] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            at = time.time()
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.append(ReceivedWebhook(self.headers["webhook-id"], content["jobId"], content["status"], at))
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
