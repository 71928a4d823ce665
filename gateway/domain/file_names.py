"""Names of output files, their content types, and whether a browser shows or saves them."""

from __future__ import annotations

import mimetypes
from urllib.parse import quote

from gateway.limits import MAX_OUTPUT_NAME_CHARACTERS

_TYPES = mimetypes.MimeTypes()
for _type, _extension in (
    ("image/webp", ".webp"),
    ("image/avif", ".avif"),
    ("audio/flac", ".flac"),
    ("audio/opus", ".opus"),
    ("video/x-matroska", ".mkv"),
    ("model/gltf-binary", ".glb"),
    ("model/gltf+json", ".gltf"),
    ("model/obj", ".obj"),
    ("model/stl", ".stl"),
    ("application/octet-stream", ".ply"),
    ("application/octet-stream", ".latent"),
    ("application/octet-stream", ".safetensors"),
):
    # The host's own tables differ between machines; these types must not.
    _TYPES.add_type(_type, _extension)

# The formats that the save nodes of ComfyUI 0.3.75 write and report as outputs (nodes.py and comfy_extras: images,
# video, audio, hunyuan3d), and jpg, the most common one of custom nodes. Custom nodes may write other formats; these
# are stored and served in the same way.
SAVED_FORMATS = ("png", "jpg", "webp", "svg", "webm", "mp4", "flac", "mp3", "opus", "glb", "latent")

_SHOWN = ("image/", "video/", "audio/")
_SCRIPTED = ("image/svg+xml",)


def content_type(filename: str) -> str:
    """Return the content type for a file name; `application/octet-stream` when it is unknown."""
    return _TYPES.guess_type(filename)[0] or "application/octet-stream"


def known_ending(filename: str) -> str:
    """Return the extension of a file name, with the dot, if it has a known content type; else an empty string."""
    _, dot, extension = filename.rpartition(".")
    ending = f".{extension.lower()}"
    return ending if dot and _TYPES.guess_type(f"file{ending}")[0] else ""


def disposition(filename: str, file_type: str) -> str:
    """Return the Content-Disposition: images, video and audio are shown, all else is saved (RFC 6266)."""
    shown = file_type.startswith(_SHOWN) and file_type not in _SCRIPTED
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in filename)
    return f"{'inline' if shown else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def safe_name(name: str) -> str:
    """Return ComfyUI's name of a file without folders and unprintable characters."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(c if c.isprintable() else "_" for c in last)
    return printable[-MAX_OUTPUT_NAME_CHARACTERS:] if printable.strip(". ") else "output"
