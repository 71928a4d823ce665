"""Endpoints of newer servers: jobs with their states, and a cancel for any state.

Written from descriptions of those servers, not from recordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from comfyui_simulator.parts import Parts
    from comfyui_simulator.types import JsonObject


class JobsRoutes:
    """GET /jobs, GET /jobs/{id} and POST /jobs/{id}/cancel, which newer servers have under /api."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[web.RouteDef]:
        """Return the endpoints."""
        return [
            web.get("/jobs", self._get_jobs),
            web.get("/jobs/{prompt_id}", self._get_job),
            web.post("/jobs/{prompt_id}/cancel", self._post_cancel),
        ]

    def _jobs(self) -> list[JsonObject]:
        running, pending = self._parts.queue.snapshot()
        jobs = [{"id": item[1], "status": "in_progress"} for item in running]
        jobs += [{"id": item[1], "status": "pending"} for item in pending]
        ended = self._parts.queue.history().items()
        return jobs + [{"id": prompt_id, "status": _status(entry)} for prompt_id, entry in ended]

    async def _get_jobs(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"jobs": self._jobs()})

    async def _get_job(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        job = next((job for job in self._jobs() if job["id"] == prompt_id), None)
        return web.Response(status=404) if job is None else web.json_response(job)

    async def _post_cancel(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        canceled = self._parts.queue.delete(prompt_id)
        if not canceled and self._parts.queue.is_running(prompt_id):
            self._parts.executor.interrupt()
            canceled = True
        return web.json_response({"cancelled": canceled})


def _status(entry: JsonObject) -> str:
    status = entry["status"]
    if any(event == "execution_interrupted" for event, _ in status["messages"]):
        return "cancelled"
    return "completed" if status["completed"] else "failed"
