"""`/audit`: what admins did."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from functions.http import pagination, router
from functions.http.auth import require_admin
from functions.wiring.api import ApiWiring, entry_point
from gateway.domain import timestamps
from gateway.errors import Problem, RequestInvalidError

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import Response
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.api import responses
    from functions.wiring.api import Handler
    from gateway.domain.audit import AuditEntry
    from gateway.ports import AuditLog


def make_handler(wiring: ApiWiring) -> Handler:
    """Put the function together."""
    app = router.make_app([*wiring.middlewares, wiring.authenticator.signed_in_only])
    log: AuditLog = wiring.audit

    @app.get("/audit")
    def list_entries() -> Response[str]:
        require_admin(app, "read the audit log")
        parameters = app.current_event.query_string_parameters or {}
        problems: list[Problem] = []
        limit = pagination.read_limit(parameters, problems)
        position = pagination.read_position(parameters, problems)
        if problems:
            raise RequestInvalidError(problems)
        # One more than asked for tells whether there is a next page.
        found = log.newest(limit + 1, before=position)
        shown = found[:limit]
        more = len(found) > limit
        answer: responses.AuditListJson = {
            "entries": [_view(entry) for entry in shown],
            "count": len(shown),
            "nextCursor": pagination.to_cursor(shown[-1].position) if more else None,
        }
        return router.json_response(HTTPStatus.OK, answer)

    router.refuse_other_methods(app, {"/audit": ("GET",)})

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return router.serve(app, event, context)

    return handler


def _view(entry: AuditEntry) -> responses.AuditEntryJson:
    actor = entry.by.actor
    return {
        "at": timestamps.to_text(entry.position.at),
        "actor": {"owner": actor.owner, "role": actor.role, "keyName": actor.key_name},
        "action": entry.action,
        "target": entry.target,
        "before": entry.before,
        "after": entry.after,
        "correlationId": entry.by.correlation_id,
    }


handler = entry_point(make_handler, ApiWiring)
