"""File names of outputs: content type, content disposition and known file extensions."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.file_names import content_type, disposition, known_ending


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a.png", "image/png"),
        ("a.JPG", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.gif", "image/gif"),
        ("a.mp4", "video/mp4"),
        ("a.webm", "video/webm"),
        ("a.mkv", "video/x-matroska"),
        ("a.flac", "audio/flac"),
        ("a.mp3", "audio/mpeg"),
        ("a.glb", "model/gltf-binary"),
        ("a.txt", "text/plain"),
        ("a.latent", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_the_extension_determines_the_content_type(filename: str, expected: str) -> None:
    """Content types are the same on every machine; unknown extensions are binary data."""
    assert content_type(filename) == expected


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a.png", "inline"),
        ("a.mp4", "inline"),
        ("a.flac", "inline"),
        ("a.svg", "attachment"),
        ("a.html", "attachment"),
        ("a.txt", "attachment"),
        ("a.glb", "attachment"),
        ("a", "attachment"),
    ],
)
def test_only_media_is_displayed_inline(filename: str, expected: str) -> None:
    """Browsers must download files that could contain scripts, not display them."""
    assert disposition(filename, content_type(filename)).split(";")[0] == expected


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_name_is_quoted_in_the_header(filename: str) -> None:
    """No name can end its quotes or the header; the extended form contains the exact name."""
    header = disposition(filename, "image/png")
    found = re.fullmatch(r"inline; filename=\"([ -~]*)\"; filename\*=UTF-8''([A-Za-z0-9%._~-]*)", header)
    assert found
    assert not set('"\\') & set(found[1])
    assert unquote(found[2]) == filename


@pytest.mark.parametrize(
    ("filename", "extension"),
    [
        ("a secret fox_00001_.png", ".png"),
        ("A.PNG", ".png"),
        ("a.latent", ".latent"),
        ("a.b.webm", ".webm"),
        ("a.fox", ""),
        ("a.png.fox", ""),
        ("png", ""),
        ("a.", ""),
        ("", ""),
        ("a.tar.gz", ""),
        ("a.p/ng", ""),
    ],
)
def test_only_known_extensions_are_kept(filename: str, extension: str) -> None:
    """An unknown extension can be text from an input."""
    assert known_ending(filename) == extension
