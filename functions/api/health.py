"""`/health`, and the answer to every path that nothing else answers."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from functions.http import router
from functions.http.auth import caller_of, signed_in
from functions.use_cases.executors import offered_models, recent_heartbeats
from functions.wiring.api import ApiWiring, entry_point
from gateway.__about__ import VERSION
from gateway.domain import timestamps
from gateway.domain.model_files import CHECKPOINTS
from gateway.domain.principal import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.event_handler import Response
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.api import responses
    from functions.wiring.api import Handler
    from gateway.domain.executor import Device, Heartbeat
    from gateway.domain.model_files import ModelFolder


def make_handler(wiring: ApiWiring) -> Handler:
    """Put the function together."""
    app = router.make_app(wiring.middlewares)
    started = time.monotonic()
    reports = wiring.executors

    @app.get("/health")
    def get_health() -> Response[str]:
        tell_all = signed_in(app)
        executors = recent_heartbeats(reports)
        reachable = [executor for executor in executors if executor.comfyui_reachable]
        answer: responses.HealthJson = {
            "ok": True,
            "version": VERSION,
            "comfyui": {"reachable": bool(reachable)},
            "uptime": round(time.monotonic() - started, 3),
        }
        if tell_all:
            if reachable:
                answer["comfyui"]["url"] = reachable[0].comfyui_url
            models = reports.models()
            checkpoints = offered_models(executors, models).get(CHECKPOINTS)
            answer["comfyui"]["models"] = checkpoints.names if checkpoints else []
            answer["executors"] = [_view(executor, models.get(executor.id, {})) for executor in executors]
            if caller_of(app).role is Role.ADMIN:
                # Other owners' jobs are nobody else's business.
                for view, executor in zip(answer["executors"], executors, strict=True):
                    view["currentJobId"] = executor.current_job_id
        return router.json_response(HTTPStatus.OK, answer)

    router.refuse_other_methods(app, {"/health": ("GET",)})

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return router.serve(app, event, context)

    return handler


def _view(report: Heartbeat, models: Mapping[str, ModelFolder]) -> responses.ExecutorJson:
    return {
        "id": report.id,
        "lastSeenAt": timestamps.to_text(report.last_seen_at),
        "busy": report.busy,
        "version": report.version,
        "comfyui": {
            "reachable": report.comfyui_reachable,
            "url": report.comfyui_url,
            "version": report.comfyui_version,
            "device": _device_view(report.device) if report.device else None,
            "models": {name: {"count": folder.count, "names": folder.names} for name, folder in models.items()},
        },
    }


def _device_view(device: Device) -> responses.DeviceJson:
    return {
        "name": device.name,
        "vramTotalBytes": device.vram_total_bytes,
        "vramFreeBytes": device.vram_free_bytes,
    }


handler = entry_point(make_handler, ApiWiring)
