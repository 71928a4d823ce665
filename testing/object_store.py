"""Files in memory."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

from gateway.ports import StoredObject

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class InMemoryObject:
    """A stored file."""

    content: bytes
    content_type: str
    disposition: str | None = None
    expires: bool = False


class InMemoryObjectStore:
    """Implements the port `ObjectStore`. Thread-safe. Expired objects stay readable."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, InMemoryObject] = {}

    @property
    def objects(self) -> Mapping[str, InMemoryObject]:
        """A copy of all objects, by key."""
        with self._lock:
            return dict(self._objects)

    def put(self, key: str, content: bytes, *, content_type: str) -> None:
        """Store a small object."""
        self._put(key, InMemoryObject(content=content, content_type=content_type))

    def put_stream(self, key: str, stream: BinaryIO, *, content_type: str, disposition: str) -> StoredObject:
        """Store an object while reading it."""
        content = bytearray()
        while chunk := stream.read(_CHUNK_BYTES):
            content += chunk
        self._put(key, InMemoryObject(content=bytes(content), content_type=content_type, disposition=disposition))
        return StoredObject(size=len(content), sha256=hashlib.sha256(content).hexdigest())

    def get(self, key: str) -> bytes:
        """Read a whole object. Raises KeyError when there is none."""
        return self._objects[key].content

    def exists(self, key: str) -> bool:
        """Return whether there is an object."""
        return key in self._objects

    def expire(self, key: str, *, content_type: str) -> None:
        """Mark an object for removal after the retention time."""
        with self._lock:
            content = self._objects[key].content
            self._objects[key] = InMemoryObject(content=content, content_type=content_type, expires=True)

    def presigned_url(self, key: str, *, seconds: int) -> str:
        """Make a URL that names the object. No server serves it."""
        return f"https://files.invalid/{quote(key)}?expires={seconds}"

    def _put(self, key: str, stored: InMemoryObject) -> None:
        with self._lock:
            self._objects[key] = stored
