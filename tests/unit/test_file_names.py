"""Behaviour of output files: what type a file is declared as, and how a browser treats it."""

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
def test_the_name_says_the_type(filename: str, expected: str) -> None:
    """Types are the same on every machine, and unknown ones are plain bytes."""
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
def test_only_media_is_shown(filename: str, expected: str) -> None:
    """What could run a script is saved, not shown."""
    assert disposition(filename, content_type(filename)).split(";")[0] == expected


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_name_makes_a_sound_header(filename: str) -> None:
    """No name can end its quotes or the header; the exact name travels in the extended form."""
    header = disposition(filename, "image/png")
    found = re.fullmatch(r"inline; filename=\"([ -~]*)\"; filename\*=UTF-8''([A-Za-z0-9%._~-]*)", header)
    assert found
    assert not set('"\\') & set(found[1])
    assert unquote(found[2]) == filename


@pytest.mark.parametrize(
    ("filename", "ending"),
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
def test_of_a_name_only_a_known_ending_is_taken(filename: str, ending: str) -> None:
    """It says what kind of file it is; anything else behind a dot may be a word of the caller's."""
    assert known_ending(filename) == ending
