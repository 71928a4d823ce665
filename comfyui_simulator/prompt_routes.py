"""Endpoints that queue, list, interrupt and delete prompts."""

from __future__ import annotations

import contextlib
import time
import uuid
from typing import TYPE_CHECKING

from aiohttp import web

from comfyui_simulator.validation import Validation, prompt_error, validate_prompt
from comfyui_simulator.web_support import json_object

if TYPE_CHECKING:
    from comfyui_simulator.parts import Parts
    from comfyui_simulator.types import JsonObject, QueueItem

_SENSITIVE = ("auth_token_comfy_org", "api_key_comfy_org")


class PromptRoutes:
    """POST and GET of /prompt, /queue and /history; POST /interrupt and /free."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[web.RouteDef]:
        """Return the endpoints."""
        return [
            web.get("/prompt", self._get_prompt),
            web.post("/prompt", self._post_prompt),
            web.get("/queue", self._get_queue),
            web.post("/queue", self._post_queue),
            web.post("/interrupt", self._post_interrupt),
            web.post("/free", self._post_free),
            web.get("/history", self._get_history),
            web.post("/history", self._post_history),
            web.get("/history/{prompt_id}", self._get_history_of),
        ]

    async def _get_prompt(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(self._parts.hub.status())

    async def _post_prompt(self, request: web.Request) -> web.Response:
        body = await json_object(request)
        # The counter moves on for prompts that are rejected, too (recorded: rejected prompts).
        number = self._number(body)
        if "prompt" not in body:
            return _rejected(prompt_error("no_prompt", "No prompt provided", "No prompt provided"), {})
        prompt_id = str(body.get("prompt_id", uuid.uuid4()))
        if self._parts.settings.newer_api and not _is_canonical_uuid(prompt_id):
            error = prompt_error("invalid_prompt_id", "prompt_id must be a lower-case UUID", prompt_id)
            return _rejected(error, {})
        validation = validate_prompt(body["prompt"], self._parts.object_info, self._parts.files)
        if validation.error is not None:
            return _rejected(validation.error, validation.node_errors)
        self._parts.queue.put(_queue_item(number, prompt_id, body, validation))
        response = {"prompt_id": prompt_id, "number": number, "node_errors": validation.node_errors}
        return web.json_response(response)

    def _number(self, body: JsonObject) -> float:
        if "number" in body:
            return float(body["number"])
        number = self._parts.next_number
        self._parts.next_number += 1
        return -number if body.get("front") else number

    async def _get_queue(self, request: web.Request) -> web.Response:
        del request
        running, pending = self._parts.queue.snapshot()
        return web.json_response({"queue_running": running, "queue_pending": pending})

    async def _post_queue(self, request: web.Request) -> web.Response:
        body = await json_object(request)
        if body.get("clear"):
            self._parts.queue.clear()
        for prompt_id in body.get("delete", []):
            self._parts.queue.delete(prompt_id)
        return web.Response()

    async def _post_interrupt(self, request: web.Request) -> web.Response:
        body: JsonObject = {}
        with contextlib.suppress(ValueError):
            body = await json_object(request)
        prompt_id = body.get("prompt_id")
        is_meant = not prompt_id or self._parts.queue.is_running(prompt_id)
        if is_meant and not self._parts.faults.take_lost_interrupt():
            self._parts.executor.interrupt()
        return web.Response()

    async def _post_free(self, request: web.Request) -> web.Response:
        body = await json_object(request)
        models, memory = body.get("unload_models", False), body.get("free_memory", False)
        self._parts.worker.free(models=bool(models), memory=bool(memory))
        return web.Response()

    async def _get_history(self, request: web.Request) -> web.Response:
        max_items = request.query.get("max_items")
        offset = int(request.query.get("offset", -1))
        return web.json_response(self._parts.queue.history(None if max_items is None else int(max_items), offset))

    async def _get_history_of(self, request: web.Request) -> web.Response:
        return web.json_response(self._parts.queue.history_of(request.match_info["prompt_id"]))

    async def _post_history(self, request: web.Request) -> web.Response:
        body = await json_object(request)
        if body.get("clear"):
            self._parts.queue.clear_history()
        for prompt_id in body.get("delete", []):
            self._parts.queue.delete_history(prompt_id)
        return web.Response()


def _queue_item(number: float, prompt_id: str, body: JsonObject, validation: Validation) -> QueueItem:
    extra_data = {name: value for name, value in body.get("extra_data", {}).items() if name not in _SENSITIVE}
    if "client_id" in body:
        extra_data["client_id"] = body["client_id"]
    extra_data["create_time"] = int(time.time() * 1000)
    return (number, prompt_id, body["prompt"], extra_data, validation.outputs)


def _rejected(error: JsonObject, node_errors: JsonObject) -> web.Response:
    return web.json_response({"error": error, "node_errors": node_errors}, status=400)


def _is_canonical_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
