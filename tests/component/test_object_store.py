"""Behaviour of files in S3."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest
import requests

from gateway.ports import StoredObject
from tests.component.api import aws_calls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.aws.clients import Clients
    from gateway.aws.s3 import S3ObjectStore

MIB = 1024 * 1024
BLOCK = bytes(range(256)) * 256


class Stream:
    """A download: it can be read once, in pieces of its own choosing, and has no length."""

    def __init__(self, size: int) -> None:
        self._left = size
        self.largest_read = 0

    def read(self, size: int = -1) -> bytes:
        """Give less than was asked for, as a connection does; all of it only when nothing is left."""
        assert size >= 0 or not self._left, "read whole"
        self.largest_read = max(self.largest_read, size)
        wanted = min(max(size, 0), self._left, len(BLOCK))
        self._left -= wanted
        return BLOCK[:wanted]


@pytest.fixture
def http() -> Iterator[requests.Session]:
    """Give a client as plain as can be: no credentials, no proxy."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.mark.parametrize("size", [0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 33 * MIB])
def test_a_stream_of_unknown_size_is_stored(objects: S3ObjectStore, size: int) -> None:
    """Size and SHA-256 are those of what is stored, below and above the size that goes up in parts."""
    stream = Stream(size)
    stored = objects.put_stream(
        "outputs/j/a.bin", cast("BinaryIO", stream), content_type="video/mp4", disposition="inline"
    )
    content = objects.get("outputs/j/a.bin")
    assert len(content) == size
    assert stored == StoredObject(size=size, sha256=hashlib.sha256(content).hexdigest())
    assert stream.largest_read <= 16 * MIB


def test_a_stream_that_breaks_leaves_nothing(objects: S3ObjectStore) -> None:
    """An error while reading is the caller's to see, and there is no half of a file."""

    class Broken(Stream):
        def read(self, size: int = -1) -> bytes:
            chunk = super().read(size)
            if not chunk:
                raise ConnectionError("gone")
            return chunk

    with pytest.raises(ConnectionError):
        objects.put_stream(
            "outputs/j/a.bin", cast("BinaryIO", Broken(9 * MIB)), content_type="video/mp4", disposition="inline"
        )
    with pytest.raises(KeyError):
        objects.get("outputs/j/a.bin")


def test_what_is_put_is_read(objects: S3ObjectStore) -> None:
    """Any key and any bytes, empty ones included; the last put stands."""
    for content in (b"", b"\x00\xff", BLOCK):
        objects.put("prompts/ü 🦊/%2e.json", content, content_type="application/json")
        assert objects.get("prompts/ü 🦊/%2e.json") == content


def test_a_missing_file_is_a_key_error(objects: S3ObjectStore) -> None:
    """What is not there is told apart from a failure."""
    with pytest.raises(KeyError, match="missing"):
        objects.get("outputs/missing")


def test_a_presigned_url_is_good_for_a_plain_get(objects: S3ObjectStore, http: requests.Session) -> None:
    """Whoever has the URL gets bytes, type and disposition, or just a range."""
    key = "outputs/j/ü b+c.png"
    objects.put_stream(key, io.BytesIO(BLOCK), content_type="image/png", disposition='inline; filename="b.png"')
    url = objects.presigned_url(key, seconds=600)
    answer = http.get(url, timeout=5)
    assert (answer.status_code, answer.content) == (200, BLOCK)
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Disposition"] == 'inline; filename="b.png"'
    part = http.get(url, headers={"Range": "bytes=10-19"}, timeout=5)
    assert (part.status_code, part.content) == (206, BLOCK[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(BLOCK)}"


def test_a_presigned_url_is_good_for_its_file_only(objects: S3ObjectStore, http: requests.Session) -> None:
    """The signature of one file does not open another."""
    for name in ("a", "b"):
        objects.put(f"outputs/j/{name}.png", name.encode(), content_type="image/png")
    url = objects.presigned_url("outputs/j/a.png", seconds=600)
    assert http.get(url, timeout=5).content == b"a"
    assert http.get(url.replace("a.png", "b.png"), timeout=5).status_code == 403


def test_presigning_asks_nobody(objects: S3ObjectStore, aws_clients: Clients) -> None:
    """URLs are made without a call, whether or not the file is there."""
    with aws_calls(aws_clients) as calls:
        assert objects.presigned_url("outputs/none", seconds=60)
    assert calls == []
