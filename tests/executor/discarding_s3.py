"""An S3 that discards contents and keeps sizes and hashes, for outputs that are larger than memory."""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE_BYTES = 1024 * 1024
_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


class DiscardingS3(ThreadingHTTPServer):
    """Accepts objects, whole or as multipart uploads. https://docs.aws.amazon.com/AmazonS3/latest/API/mpuoverview.html."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.large_bytes: dict[str, int] = {}  # of multipart uploads, by path and part
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: DiscardingS3

    def do_PUT(self) -> None:
        digest = hashlib.md5(usedforsecurity=False)
        size = 0
        if self.headers.get("Transfer-Encoding") == "chunked":
            while length := int(self.rfile.readline().split(b";")[0], 16):
                digest.update(self.rfile.read(length))
                size += length
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            remaining = int(self.headers["Content-Length"])
            while remaining:
                piece = self.rfile.read(min(remaining, _PIECE_BYTES))
                digest.update(piece)
                size += len(piece)
                remaining -= len(piece)
        if "partNumber=" in self.path:
            self.server.large_bytes[self.path] = size
        self._respond("", ETag=f'"{digest.hexdigest()}"')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "uploads" in parse_qs(urlsplit(self.path).query, keep_blank_values=True):
            self._respond(
                f"<InitiateMultipartUploadResult {_NAMESPACE}><UploadId>u</UploadId></InitiateMultipartUploadResult>"
            )
        else:
            self._respond(
                f'<CompleteMultipartUploadResult {_NAMESPACE}><ETag>"e"</ETag></CompleteMultipartUploadResult>'
            )

    def _respond(self, body: str, **headers: str) -> None:
        self.send_response(HTTPStatus.OK)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_args: Any) -> None:  # noqa: ANN401  the base class takes anything
        pass


@contextmanager
def discarding_s3() -> Iterator[DiscardingS3]:
    """Run a server in threads."""
    with DiscardingS3() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
