"""Endpoints that describe the server: its version, devices, models and node classes."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from aiohttp import web

from comfyui_simulator.gpu import MEGABYTE
from comfyui_simulator.socket_hub import SERVER_FEATURES

if TYPE_CHECKING:
    from comfyui_simulator.parts import Parts
    from comfyui_simulator.types import JsonObject

VERSION = "0.3.75"
"""The ComfyUI version that is simulated."""

_MODEL_FOLDERS = (
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "style_models",
    "embeddings",
    "diffusers",
    "vae_approx",
    "controlnet",
    "gligen",
    "upscale_models",
    "custom_nodes",
    "hypernetworks",
    "photomaker",
    "classifiers",
    "model_patches",
    "audio_encoders",
)


class InfoRoutes:
    """GET of /, /system_stats, /features, /object_info, /models, /embeddings and /extensions."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[web.RouteDef]:
        """Return the endpoints."""
        return [
            web.get("/", self._get_page),
            web.get("/system_stats", self._get_system_stats),
            web.get("/features", self._get_features),
            web.get("/object_info", self._get_object_info),
            web.get("/object_info/{class_type}", self._get_object_info_of),
            web.get("/models", self._get_models),
            web.get("/models/{folder}", self._get_models_in),
            web.get("/embeddings", self._get_nothing),
            web.get("/extensions", self._get_nothing),
        ]

    async def _get_page(self, request: web.Request) -> web.Response:
        del request
        headers = {"Cache-Control": "no-cache", "Pragma": "no-cache", "Expires": "0"}
        return web.Response(text="<html>ComfyUI simulator</html>\n", content_type="text/html", headers=headers)

    async def _get_system_stats(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"system": self._system(), "devices": [self._device()]})

    def _system(self) -> JsonObject:
        page_bytes = os.sysconf("SC_PAGE_SIZE")
        return {
            "os": os.name,
            "ram_total": os.sysconf("SC_PHYS_PAGES") * page_bytes,
            "ram_free": os.sysconf("SC_AVPHYS_PAGES") * page_bytes,
            "comfyui_version": VERSION,
            "required_frontend_version": "1.32.9",
            "installed_templates_version": None,
            "required_templates_version": "0.7.25",
            "python_version": platform.python_version(),
            "pytorch_version": "simulated",
            "embedded_python": False,
            "argv": self._arguments(),
        }

    def _arguments(self) -> list[str]:
        settings = self._parts.settings
        own = ["--disable-metadata"] if settings.disable_metadata else []
        return ["main.py", "--listen", settings.host, "--port", str(settings.port), *own]

    def _device(self) -> JsonObject:
        gpu = self._parts.gpu
        total, free = gpu.total_mb * MEGABYTE, gpu.free_mb * MEGABYTE
        return {
            "name": "cuda:0 Simulated GPU : native",
            "type": "cuda",
            "index": 0,
            "vram_total": total,
            "vram_free": free,
            "torch_vram_total": total,
            "torch_vram_free": free,
        }

    async def _get_features(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(SERVER_FEATURES)

    async def _get_object_info(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(self._parts.object_info.all())

    async def _get_object_info_of(self, request: web.Request) -> web.Response:
        return web.json_response(self._parts.object_info.one(request.match_info["class_type"]))

    async def _get_models(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(list(_MODEL_FOLDERS))

    async def _get_models_in(self, request: web.Request) -> web.Response:
        folder = request.match_info["folder"]
        if folder not in _MODEL_FOLDERS:
            return web.Response(status=404)
        return web.json_response(list(self._parts.settings.checkpoints) if folder == "checkpoints" else [])

    async def _get_nothing(self, request: web.Request) -> web.Response:
        del request
        return web.json_response([])
