"""The port ObjectStore."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest

from gateway.ports import StoredObject

if TYPE_CHECKING:
    from gateway.ports import ObjectStore
    from tests.ports.conftest import Ports

MIB = 1024 * 1024
BLOCK = bytes(range(256)) * 256
KEY = "outputs/j/a.bin"


class Stream:
    """A download of unknown length: it can be read once, and returns fewer bytes than requested."""

    def __init__(self, size: int) -> None:
        self._remaining = size
        self.largest_read = 0

    def read(self, size: int = -1) -> bytes:
        """Return some bytes; none only at the end. Reading it whole is an error."""
        assert size >= 0 or not self._remaining, "read whole"
        self.largest_read = max(self.largest_read, size)
        wanted = min(max(size, 0), self._remaining, len(BLOCK))
        self._remaining -= wanted
        return BLOCK[:wanted]


@pytest.fixture
def objects(ports: Ports) -> ObjectStore:
    """Return the object store."""
    return ports.objects


def put_stream(objects: ObjectStore, stream: Stream) -> StoredObject:
    """Store a stream as a video."""
    return objects.put_stream(KEY, cast("BinaryIO", stream), content_type="video/mp4", disposition="inline")


@pytest.mark.parametrize("size", [0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 33 * MIB])
def test_a_stream_of_unknown_size_is_stored(objects: ObjectStore, size: int) -> None:
    """Size and SHA-256 are those of the stored bytes, for one upload and for several parts."""
    stream = Stream(size)
    stored = put_stream(objects, stream)
    content = objects.get(KEY)
    assert len(content) == size
    assert stored == StoredObject(size=size, sha256=hashlib.sha256(content).hexdigest())
    assert stream.largest_read <= 16 * MIB


def test_a_broken_stream_leaves_nothing(objects: ObjectStore) -> None:
    """The error is raised to the caller, and no part of the file is stored."""

    class Broken(Stream):
        def read(self, size: int = -1) -> bytes:
            chunk = super().read(size)
            if not chunk:
                raise ConnectionError("gone")
            return chunk

    with pytest.raises(ConnectionError):
        put_stream(objects, Broken(9 * MIB))
    assert not objects.exists(KEY)


def test_an_object_is_read_as_it_was_put(objects: ObjectStore) -> None:
    """Any key and any bytes, also none; the last put counts."""
    for content in (b"", b"\x00\xff", BLOCK):
        objects.put("prompts/ü 🦊/%2e.json", content, content_type="application/json")
        assert objects.get("prompts/ü 🦊/%2e.json") == content


def test_a_missing_object_is_a_key_error(objects: ObjectStore) -> None:
    """A missing key raises KeyError, unlike other failures."""
    assert not objects.exists("outputs/missing")
    with pytest.raises(KeyError, match="missing"):
        objects.get("outputs/missing")


def test_an_expiring_object_can_still_be_read(objects: ObjectStore) -> None:
    """It is removed only after the retention time."""
    objects.put(KEY, b"a", content_type="application/json")
    objects.expire(KEY, content_type="application/json")
    assert objects.exists(KEY)
    assert objects.get(KEY) == b"a"


def test_a_presigned_url_names_its_object(objects: ObjectStore) -> None:
    """URLs of different objects differ; the object need not exist."""
    assert objects.presigned_url("outputs/a", seconds=60) != objects.presigned_url("outputs/b", seconds=60)
