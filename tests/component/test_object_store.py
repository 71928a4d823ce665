"""Presigned URLs of S3. What the port promises is in tests/ports."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
import requests

from tests.component.api import aws_calls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.aws.clients import Clients
    from gateway.aws.s3 import S3ObjectStore

BLOCK = bytes(range(256)) * 256


@pytest.fixture
def http() -> Iterator[requests.Session]:
    """Return a plain HTTP client: no credentials, no proxy."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def test_a_presigned_url_works_without_credentials(objects: S3ObjectStore, http: requests.Session) -> None:
    """A GET returns bytes, type and disposition, or a range of the bytes."""
    key = "outputs/j/ü b+c.png"
    objects.put_stream(key, io.BytesIO(BLOCK), content_type="image/png", disposition='inline; filename="b.png"')
    url = objects.presigned_url(key, seconds=600)
    response = http.get(url, timeout=5)
    assert (response.status_code, response.content) == (200, BLOCK)
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["Content-Disposition"] == 'inline; filename="b.png"'
    part = http.get(url, headers={"Range": "bytes=10-19"}, timeout=5)
    assert (part.status_code, part.content) == (206, BLOCK[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(BLOCK)}"


def test_a_presigned_url_works_for_its_file_only(objects: S3ObjectStore, http: requests.Session) -> None:
    """The signature of one file is invalid for another."""
    for name in ("a", "b"):
        objects.put(f"outputs/j/{name}.png", name.encode(), content_type="image/png")
    url = objects.presigned_url("outputs/j/a.png", seconds=600)
    assert http.get(url, timeout=5).content == b"a"
    assert http.get(url.replace("a.png", "b.png"), timeout=5).status_code == 403


def test_presigning_makes_no_call(objects: S3ObjectStore, aws_clients: Clients) -> None:
    """URLs are signed locally, whether or not the object exists."""
    with aws_calls(aws_clients) as calls:
        assert objects.presigned_url("outputs/none", seconds=60)
    assert calls == []
