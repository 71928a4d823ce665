"""`/audit`: what admins did."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from functions.api.routes import ROUTES
from functions.http import pagination
from functions.http.responses import json_response
from functions.use_cases.audit_log import read_audit_log
from functions.wiring.api import ApiWiring, entry_point
from gateway.domain import timestamps
from gateway.errors import Problem, RequestInvalidError

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import Response

    from functions.api import responses
    from functions.http.request import Request
    from functions.http.router import Operations
    from gateway.domain.audit import AuditEntry


def operations(wiring: ApiWiring) -> Operations:
    """Make the handlers."""

    def handle_list_audit(request: Request) -> Response[str]:
        problems: list[Problem] = []
        limit = pagination.read_limit(request.query, problems)
        position = pagination.read_position(request.query, problems)
        if problems:
            raise RequestInvalidError(problems)
        page = read_audit_log(wiring.audit, limit=limit, position=position)
        body: responses.AuditListJson = {
            "entries": [_entry_json(entry) for entry in page.entries],
            "count": len(page.entries),
            "nextCursor": pagination.to_cursor(page.next_page_position) if page.next_page_position else None,
        }
        return json_response(HTTPStatus.OK, body)

    return {"listAudit": handle_list_audit}


def _entry_json(entry: AuditEntry) -> responses.AuditEntryJson:
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


handler = entry_point("audit", ROUTES, operations, ApiWiring)
