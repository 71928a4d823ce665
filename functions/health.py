"""`/health`, and the answer to every path that nothing else answers."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from functions import http
from functions.auth import caller_of, signed_in
from functions.fleet import offered_models, recent_reports
from functions.wiring import Wiring, entry_point
from gateway.__about__ import VERSION
from gateway.domain import instant
from gateway.domain.identity import Role
from gateway.domain.models import CHECKPOINTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.event_handler import Response
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions import answers
    from functions.wiring import Handler
    from gateway.domain.executor import Device, ExecutorReport
    from gateway.domain.models import ModelFolder


def make_handler(wiring: Wiring) -> Handler:
    """Put the function together."""
    app = http.make_app(wiring.middlewares)
    started = time.monotonic()
    reports = wiring.executors

    @app.get("/health")
    def get_health() -> Response[str]:
        tell_all = signed_in(app)
        executors = recent_reports(reports)
        reachable = [executor for executor in executors if executor.comfyui_reachable]
        answer: answers.Health = {
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
        return http.json_answer(HTTPStatus.OK, answer)

    http.refuse_other_methods(app, {"/health": ("GET",)})

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return http.serve(app, event, context)

    return handler


def _view(report: ExecutorReport, models: Mapping[str, ModelFolder]) -> answers.Executor:
    return {
        "id": report.id,
        "lastSeenAt": instant.to_text(report.last_seen_at),
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


def _device_view(device: Device) -> answers.Device:
    return {
        "name": device.name,
        "vramTotalBytes": device.vram_total_bytes,
        "vramFreeBytes": device.vram_free_bytes,
    }


handler = entry_point(make_handler, Wiring)
