"""Endpoints that inject faults into a simulator that runs as a separate process.

These are endpoints instead of command-line flags because tests must start and stop faults during a run. Tests in the
same process use `SimulatorServer.faults` instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from comfyui_simulator.web_support import json_object

if TYPE_CHECKING:
    from comfyui_simulator.parts import Parts


class ControlRoutes:
    """POST /simulator/faults, /simulator/close_sockets and /simulator/lose_prompt/{prompt_id}."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[web.RouteDef]:
        """Return the endpoints."""
        return [
            web.post("/simulator/faults", self._post_faults),
            web.post("/simulator/close_sockets", self._post_close_sockets),
            web.post("/simulator/lose_prompt/{prompt_id}", self._post_lose_prompt),
        ]

    async def _post_faults(self, request: web.Request) -> web.Response:
        try:
            self._parts.faults.update(await json_object(request))
        except (ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.Response()

    async def _post_close_sockets(self, request: web.Request) -> web.Response:
        del request
        self._parts.hub.close_all()
        return web.Response()

    async def _post_lose_prompt(self, request: web.Request) -> web.Response:
        self._parts.queue.forget(request.match_info["prompt_id"])
        return web.Response()
