"""`/health`, and the answer to every path that nothing else answers."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from functions import http
from functions.auth import signed_in
from functions.wiring import Wiring, entry_point
from gateway.__about__ import VERSION
from gateway.domain import instant
from gateway.domain.executor import REPORT_FRESH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_lambda_powertools.event_handler import Response
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions import answers
    from functions.wiring import Handler
    from gateway.domain.executor import ExecutorReport


def make_handler(wiring: Wiring) -> Handler:
    """Put the function together."""
    app = http.make_app(wiring.middlewares)
    started = time.monotonic()
    reports = wiring.executors

    @app.get("/health")
    def get_health() -> Response[str]:
        tell_all = signed_in(app)
        executors = reports.recent(since=instant.now() - REPORT_FRESH)
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
            answer["comfyui"]["models"] = sorted({name for executor in reachable for name in executor.checkpoints})
            answer["executors"] = _views(executors)
        return http.json_answer(HTTPStatus.OK, answer)

    http.refuse_other_methods(app, {"/health": ("GET",)})

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return http.serve(app, event, context)

    return handler


def _views(executors: Sequence[ExecutorReport]) -> list[answers.Executor]:
    return [
        {
            "id": executor.id,
            "lastSeenAt": instant.to_text(executor.last_seen_at),
            "busy": executor.busy,
            "version": executor.version,
            "comfyui": {
                "reachable": executor.comfyui_reachable,
                "url": executor.comfyui_url,
                "version": executor.comfyui_version,
                "models": list(executor.checkpoints),
            },
        }
        for executor in executors
    ]


handler = entry_point(make_handler)
