"""`comfyui-gateway audit`: the audit log."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.gateway_session import GatewaySession
    from functions.api.responses import AuditActorJson, AuditEntryJson

_MAX_PAGES = 100


def audit(
    session: GatewaySession,
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of entries.")] = 20,
) -> None:
    """List what admins changed, newest first (for admins).

    Examples:
      comfyui-gateway audit --limit 100

    """
    entries: list[AuditEntryJson] = []
    for page in islice(session.api.audit_pages(limit=limit), _MAX_PAGES):
        entries += page["entries"]
        if len(entries) >= limit:
            break
    entries = entries[:limit]
    if session.printer.as_json:
        session.printer.json({"entries": entries, "count": len(entries)})
        return
    rows = [
        (session.printer.age(entry["at"]), _name(entry["actor"]), entry["action"], entry["target"]) for entry in entries
    ]
    session.printer.table(("WHEN", "WHO", "ACTION", "TARGET"), rows, unbroken=("WHEN", "ACTION"))
    if not entries:
        session.printer.note("No entries.")


def _name(actor: AuditActorJson) -> str:
    return f"{actor['owner']} ({actor['keyName']})" if actor["keyName"] else actor["owner"]
