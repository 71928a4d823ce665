"""Serve stored files at the URLs that local mode signs, in place of S3's presigned URLs.

The bytes come from the embedded AWS by a presigned URL that stays in this process, and pass through in pieces.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from yarl import URL

from functions.http.correlation import CORRELATION_HEADER
from gateway.domain.file_url import key_of
from gateway.errors import FileUrlInvalidError, MethodNotAllowedError, PathNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_s3 import S3Client

_PIECE_BYTES = 256 * 1024
_FROM_CLIENT = ("Range", "If-Range", "If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since")
_FROM_STORE = (
    *("Content-Type", "Content-Length", "Content-Range", "Content-Disposition"),
    *("Accept-Ranges", "ETag", "Last-Modified"),
)
_PASSED_ON = (
    *(HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.NOT_MODIFIED),
    *(HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
)
_PRESIGNED_SECONDS = 60


class FileServer:
    """Serves one bucket. `origins`: of the pages that may read files, as in CORS_ORIGINS."""

    def __init__(self, client: S3Client, bucket_name: str, *, secret: str, origins: Sequence[str]) -> None:
        self._client = client
        self._bucket_name = bucket_name
        self._secret = secret
        self._origins = frozenset(origins)
        self._session: aiohttp.ClientSession | None = None

    async def respond(self, request: web.BaseRequest, correlation_id: str) -> web.StreamResponse:
        """Respond to a GET or HEAD. Raises RequestError."""
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowedError("Files can be read only: use GET or HEAD.")
        path, _, query = request.raw_path.partition("?")
        key = key_of(path, query, now=datetime.now(UTC), secret=self._secret)
        if key is None:
            raise FileUrlInvalidError("This URL has expired or was changed. Get the job again for a new downloadUrl.")
        operation = "get_object" if request.method == "GET" else "head_object"
        url = self._client.generate_presigned_url(
            operation, Params={"Bucket": self._bucket_name, "Key": key}, ExpiresIn=_PRESIGNED_SECONDS
        )
        headers = {name: request.headers[name] for name in _FROM_CLIENT if name in request.headers}
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30)
            self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False, trust_env=False)
        async with self._session.request(request.method, URL(url, encoded=True), headers=headers) as found:
            if found.status == HTTPStatus.NOT_FOUND:
                raise PathNotFoundError("This file is no longer stored.")
            if found.status not in _PASSED_ON:
                raise ConnectionError(f"the store returned {found.status}")
            response = web.StreamResponse(status=found.status, headers=self._headers(request, found, correlation_id))
            await response.prepare(request)
            if request.method == "GET" and found.status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                async for piece in found.content.iter_chunked(_PIECE_BYTES):
                    await response.write(piece)
            await response.write_eof()
        return response

    def _headers(self, request: web.BaseRequest, found: aiohttp.ClientResponse, correlation_id: str) -> dict[str, str]:
        headers = {name: found.headers[name] for name in _FROM_STORE if name in found.headers}
        if found.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            headers.pop("Content-Length", None)  # of the store's own error
            headers.pop("Content-Type", None)
        headers |= {
            CORRELATION_HEADER: correlation_id,
            "Cache-Control": "private, no-cache",
            # The file is a tenant's content: it must not run as a page of this origin.
            "Content-Security-Policy": "sandbox",
            "X-Content-Type-Options": "nosniff",
        }
        origin = request.headers.get("Origin", "").lower()
        if "*" in self._origins or origin in self._origins:
            headers["Access-Control-Allow-Origin"] = "*" if "*" in self._origins else origin
            headers["Vary"] = "Origin"
        return headers

    async def close(self) -> None:
        """Close the connections to the store."""
        if self._session is not None:
            await self._session.close()
