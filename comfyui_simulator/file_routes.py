"""Endpoints that return output files and store uploaded input files."""

from __future__ import annotations

import io
import mimetypes
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.web_request import FileField
from PIL import Image

from comfyui_simulator.file_store import KINDS, OutsideDirectoryError

if TYPE_CHECKING:
    from comfyui_simulator.parts import Parts

_ANNOTATION = re.compile(r" ?\[(input|output|temp)\]$")

# Types that a browser might run as a script; the real server replaces them.
_UNSAFE_TYPES = ("text/html", "text/javascript", "text/css", "application/javascript", "image/svg+xml", "text/xml")

_DEFAULT_QUALITY = 90


class FileRoutes:
    """GET /view and POST /upload/image."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[web.RouteDef]:
        """Return the endpoints."""
        return [web.get("/view", self._get_view), web.post("/upload/image", self._post_image)]

    async def _get_view(self, request: web.Request) -> web.StreamResponse:
        try:
            path = self._requested(request)
        except ValueError:
            return web.Response(status=400)
        except OutsideDirectoryError:
            return web.Response(status=403)
        if path is None:
            return web.Response(status=404)
        headers = {"Content-Disposition": f'filename="{path.name}"'}
        if "preview" in request.query:
            body, content_type = _preview(path, request.query["preview"], request.query.get("channel", ""))
            return web.Response(body=body, content_type=content_type, headers=headers)
        if request.query.get("channel") in ("rgb", "a"):
            body = _channel(path, request.query["channel"])
            return web.Response(body=body, content_type="image/png", headers=headers)
        content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        headers["Content-Type"] = "application/octet-stream" if content_type in _UNSAFE_TYPES else content_type
        return web.FileResponse(path, headers=headers)

    def _requested(self, request: web.Request) -> Path | None:
        """Return the path of the file that a request names, if it exists; raise ValueError for a bad name or type."""
        if "filename" not in request.query:
            return None
        name, kind = request.query["filename"], request.query.get("type", "output")
        if annotation := _ANNOTATION.search(name):
            name, kind = name[: annotation.start()], annotation[1]
        if not name or name.startswith("/") or ".." in name or kind not in KINDS:
            raise ValueError(name)
        path = self._parts.files.resolve(PurePosixPath(name).name, request.query.get("subfolder", ""), kind)
        return path if path.is_file() else None

    async def _post_image(self, request: web.Request) -> web.Response:
        form = await request.post()
        image, subfolder, kind = form.get("image"), form.get("subfolder", ""), form.get("type", "input")
        if image is None:
            return web.Response(status=400)
        if not isinstance(image, FileField) or not isinstance(subfolder, str) or kind not in KINDS:
            raise TypeError("image is not a file, or type is not one of the directories")
        content = image.file.read()
        overwrite = form.get("overwrite") in ("true", "1")
        try:
            name = self._parts.files.save_upload(content, image.filename, subfolder, kind, overwrite=overwrite)
        except OutsideDirectoryError:
            return web.Response(status=400)
        return web.json_response({"name": name, "subfolder": subfolder, "type": kind})


def _preview(path: Path, wanted: str, channel: str) -> tuple[bytes, str]:
    """Return an image as WEBP or JPEG; `wanted` is `webp` or `jpeg`, optionally followed by `;` and a quality."""
    kind, _, quality = wanted.partition(";")
    kind = kind if kind in ("webp", "jpeg") else "webp"
    buffer = io.BytesIO()
    with Image.open(path) as image:
        keeps_alpha = kind == "webp" and channel != "rgb"
        converted = image if keeps_alpha else image.convert("RGB")
        converted.save(buffer, kind, quality=int(quality) if quality.isdigit() else _DEFAULT_QUALITY)
    return buffer.getvalue(), f"image/{kind}"


def _channel(path: Path, channel: str) -> bytes:
    """Return an image's colors, or its alpha channel as the alpha of a black image, as PNG."""
    buffer = io.BytesIO()
    with Image.open(path) as image:
        if channel == "rgb":
            result = image.convert("RGB")
        else:
            result = Image.new("RGBA", image.size)
            result.putalpha(image.convert("RGBA").getchannel("A"))
        result.save(buffer, "PNG")
    return buffer.getvalue()
