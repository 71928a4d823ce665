"""Nodes for sound and video. They write files of the right type and name, with almost no content.

Encoding video or sound would need libraries that nothing else here needs; clients only move the files.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from comfyui_simulator.nodes.node_run import NodeRun, Returned, node

if TYPE_CHECKING:
    from PIL import Image

# A FLAC file's mark and its one mandatory block: 44.1 kHz, two channels of 16 bits, no samples.
_FLAC = b"fLaC" + bytes([0x80, 0, 0, 34]) + struct.pack(">HH", 4096, 4096) + bytes(6) + bytes([0x0A, 0xC4, 0x42, 0xF0])
_FLAC += bytes(20)
# A silent MPEG-1 layer III frame: 128 kbit/s, 44.1 kHz.
_MP3 = bytes([0xFF, 0xFB, 0x90, 0x64]) + bytes(413)
# A Matroska header that declares a WebM document.
_WEBM = bytes.fromhex("1a45dfa3") + bytes([0x80 | 7]) + bytes.fromhex("4282") + bytes([0x80 | 4]) + b"webm"
# A file type box and an empty media data box.
_MP4 = struct.pack(">I", 20) + b"ftypisom" + struct.pack(">I", 512) + b"isom" + struct.pack(">I", 8) + b"mdat"

_CONTENTS = {".flac": _FLAC, ".mp3": _MP3, ".webm": _WEBM, ".mp4": _MP4}

_NO_IMAGE = (0, 0)


@dataclass(frozen=True)
class Audio:
    """A sound, without content."""


@dataclass(frozen=True)
class Video:
    """A video: its frames."""

    frames: tuple[Image.Image, ...]


@node("LoadAudio")
def load_audio(run: NodeRun) -> Returned:
    """Load an existing sound file."""
    run.machine.files.resolve(run.text("audio")).stat()
    return Returned((Audio(),))


@node("EmptyAudio")
def empty_audio(run: NodeRun) -> Returned:
    """Make silence."""
    del run
    return Returned((Audio(),))


@node("SaveAudio")
def save_audio(run: NodeRun) -> Returned:
    """Save a sound as FLAC."""
    return Returned(ui={"audio": [_save(run, ".flac")]})


@node("SaveAudioMP3")
def save_audio_mp3(run: NodeRun) -> Returned:
    """Save a sound as MP3."""
    return Returned(ui={"audio": [_save(run, ".mp3")]})


@node("PreviewAudio")
def preview_audio(run: NodeRun) -> Returned:
    """Save a sound as FLAC to the temp directory."""
    (file,) = run.machine.files.new_files("temp", run.temp_prefix, ".flac", _NO_IMAGE)
    file.path.write_bytes(_FLAC)
    return Returned(ui={"audio": [file.reference]})


@node("SaveWEBM")
def save_webm(run: NodeRun) -> Returned:
    """Save a batch as the frames of a WebM video."""
    file = _save(run, ".webm", run.images("images")[0].size)
    return Returned(ui={"images": [file], "animated": (True,)})


@node("CreateVideo")
def create_video(run: NodeRun) -> Returned:
    """Make a video of a batch."""
    return Returned((Video(tuple(run.images("images"))),))


@node("SaveVideo")
def save_video(run: NodeRun) -> Returned:
    """Save a video as MP4."""
    size = run.object("video", Video).frames[0].size
    file = _save(run, ".mp4", size)
    return Returned(ui={"images": [file], "animated": (True,)})


def _save(run: NodeRun, suffix: str, size: tuple[int, int] = _NO_IMAGE) -> dict[str, object]:
    (file,) = run.machine.files.new_files("output", run.text("filename_prefix"), suffix, size)
    file.path.write_bytes(_CONTENTS[suffix])
    return file.reference
