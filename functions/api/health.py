"""`/health`, and the response to every path that no function serves."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from functions.api.routes import ROUTES
from functions.http.responses import json_response
from functions.use_cases.health import get_health
from functions.wiring.api import ApiWiring, entry_point
from gateway.__about__ import VERSION
from gateway.domain import timestamps

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import Response

    from functions.api import responses
    from functions.http.request import Request
    from functions.http.router import Operations
    from functions.use_cases.health import ExecutorState, GatewayHealth
    from gateway.domain.executor import Device


def operations(wiring: ApiWiring) -> Operations:
    """Make the handlers."""
    started = wiring.clock.monotonic()

    def handle_get_health(request: Request) -> Response[str]:
        health = get_health(wiring.executors, wiring.clock, request.principal)
        uptime_seconds = wiring.clock.monotonic() - started
        return json_response(HTTPStatus.OK, _health_json(health, uptime_seconds))

    return {"getHealth": handle_get_health}


def _health_json(health: GatewayHealth, uptime_seconds: float) -> responses.HealthJson:
    body: responses.HealthJson = {
        "ok": True,
        "version": VERSION,
        "comfyui": {"reachable": health.comfyui_reachable},
        "uptime": round(uptime_seconds, 3),
    }
    if health.fleet:
        if health.fleet.comfyui_url is not None:
            body["comfyui"]["url"] = health.fleet.comfyui_url
        body["comfyui"]["models"] = health.fleet.checkpoints
        body["executors"] = [
            _executor_json(executor, shows_current_job=health.fleet.shows_current_jobs)
            for executor in health.fleet.executors
        ]
    return body


def _executor_json(executor: ExecutorState, *, shows_current_job: bool) -> responses.ExecutorJson:
    heartbeat = executor.heartbeat
    body: responses.ExecutorJson = {
        "id": heartbeat.id,
        "lastSeenAt": timestamps.to_text(heartbeat.last_seen_at),
        "busy": heartbeat.busy,
        "version": heartbeat.version,
        "comfyui": {
            "reachable": heartbeat.comfyui_reachable,
            "url": heartbeat.comfyui_url,
            "version": heartbeat.comfyui_version,
            "device": _device_json(heartbeat.device) if heartbeat.device else None,
            "models": {
                name: {"count": folder.count, "names": folder.names} for name, folder in executor.models.items()
            },
        },
    }
    if shows_current_job:
        body["currentJobId"] = heartbeat.current_job_id
    return body


def _device_json(device: Device) -> responses.DeviceJson:
    return {
        "name": device.name,
        "vramTotalBytes": device.vram_total_bytes,
        "vramFreeBytes": device.vram_free_bytes,
    }


handler = entry_point("health", ROUTES, operations, ApiWiring)
