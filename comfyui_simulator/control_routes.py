"""The endpoint through which tests break a simulator that runs as a separate process.

It is an endpoint and not a set of command-line flags because faults have to strike, and to stop, in the middle of a
run. Tests within the same process set the same switches through `SimulatorServer.faults`.
"""

from aiohttp import web

from comfyui_simulator.parts import Parts
from comfyui_simulator.web_support import json_object


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
