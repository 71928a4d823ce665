"""`GET /audit`: one entry per admin action, in pages, for admins only."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.aws.dynamodb.audit_log import DynamoAuditLog
from gateway.domain import timestamps
from gateway.domain.audit import AuditAction, AuditEntry
from gateway.domain.job import new_job_id
from gateway.domain.page_position import PagePosition
from gateway.domain.principal import Role
from tests.component.api import AwsGateway, aws_calls
from tests.component.samples import BY, NOW
from tests.component.workflows import GRAPH, PARAMS, SCHEMA

if TYPE_CHECKING:
    from gateway.aws.clients import Clients
    from tests.component.api import Gateway

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
BODY: dict[str, Any] = {
    "id": "w", "name": "W", "workflowJson": GRAPH, "inputSchema": SCHEMA, "defaultParams": PARAMS,
}  # fmt: skip


def fingerprint(workflow: dict[str, Any]) -> str:
    """Compute a version's hash from its representation in the API."""
    content = {name: value for name, value in workflow.items() if name not in ("createdAt", "updatedAt")}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def record(gateway: Gateway, count: int) -> list[AuditEntry]:
    """Record `count` entries, two per millisecond; return them newest first."""
    entries = [
        AuditEntry(
            position=PagePosition(NOW + timedelta(milliseconds=number // 2), new_job_id()),
            by=BY,
            action=AuditAction.KEY_CREATED,
            target=f"key-{number}",
        )
        for number in range(count)
    ]
    for entry in entries:
        gateway.wiring.audit.record(entry)
    return sorted(entries, key=lambda entry: entry.position, reverse=True)


def test_every_workflow_change_has_an_entry(gateway: Gateway) -> None:
    """Entries have actor, action, target, time, correlation id, and hashes that a client can recompute."""
    created = gateway.admin.post("/workflows", BODY, {"X-Correlation-Id": "c-create"}).json["workflow"]
    updated = gateway.admin.put("/workflows/w", {"name": "X"}).json["workflow"]
    ops = gateway.caller("key-of-ops", "ops", Role.ADMIN)
    ops.delete("/workflows/w")
    response = gateway.admin.get("/audit")
    assert response.status == 200
    assert (response.json["count"], response.json["nextCursor"]) == (3, None)
    entries = response.json["entries"]
    assert list(entries[0]) == ["at", "actor", "action", "target", "before", "after", "correlationId"]
    assert all(INSTANT.fullmatch(entry["at"]) for entry in entries)
    assert [entry["at"] for entry in entries] == sorted((entry["at"] for entry in entries), reverse=True)
    assert [(entry["action"], entry["target"], entry["actor"]["owner"]) for entry in entries] == [
        ("workflow.deleted", "w", "ops"),
        ("workflow.updated", "w", "root"),
        ("workflow.created", "w", "root"),
    ]
    assert entries[0]["actor"] == {"owner": "ops", "role": "admin", "keyName": "ops"}
    assert entries[2]["correlationId"] == "c-create"
    assert [(entry["before"], entry["after"]) for entry in entries] == [
        (fingerprint(updated), None),
        (fingerprint(created), fingerprint(updated)),
        (None, fingerprint(created)),
    ]


def test_entries_contain_no_workflow_content(gateway: Gateway) -> None:
    """Neither the stored entry nor the response contains any part of a workflow."""
    graph = {"1": {"class_type": "SecretClass", "inputs": {"text": "secret words"}}}
    gateway.admin.post("/workflows", {"id": "w", "name": "secret name", "workflowJson": graph})
    gateway.admin.put("/workflows/w", {"description": "secret description"})
    gateway.admin.delete("/workflows/w")
    assert "ecret" not in str(gateway.wiring.audit.newest(100, before=None))
    assert "ecret" not in gateway.admin.get("/audit").body.decode()


def test_rejected_requests_have_no_entry(gateway: Gateway) -> None:
    """Only successful changes have an entry."""
    gateway.admin.post("/workflows", BODY)
    gateway.admin.post("/workflows", BODY)
    gateway.admin.put("/workflows/w", {"name": ""})
    gateway.admin.put("/workflows/w", {"name": "x", "version": 7})
    gateway.admin.delete("/workflows/unknown")
    gateway.ada.delete("/workflows/w")
    assert [entry["action"] for entry in gateway.admin.get("/audit").json["entries"]] == ["workflow.created"]


def test_a_change_fails_if_its_entry_cannot_be_written(
    aws_gateway: AwsGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If writing the entry fails, the change is not written either."""
    aws_gateway.admin.post("/workflows", BODY)
    audit = aws_gateway.wiring.audit
    good = audit.put
    monkeypatch.setattr(audit, "put", lambda entry: {**good(entry), "TableName": "no-such-table"})
    assert aws_gateway.admin.put("/workflows/w", {"name": "x"}).status == 500
    assert aws_gateway.admin.delete("/workflows/w").status == 500
    assert aws_gateway.admin.post("/workflows", {**BODY, "id": "v"}).status == 500
    monkeypatch.undo()
    assert aws_gateway.ada.get("/workflows/w").json["workflow"]["version"] == 1
    assert aws_gateway.ada.get("/workflows").json["count"] == 1


def test_only_admins_are_allowed(gateway: Gateway) -> None:
    """Users get 403, callers without a key 401; other methods are not allowed."""
    for caller, status, code in ((gateway.ada, 403, "FORBIDDEN"), (gateway.anonymous, 401, "AUTH_FAILED")):
        response = caller.get("/audit?limit=x&cursor=x")
        assert (response.status, response.json["error"]) == (status, code)
    assert gateway.admin.post("/audit").status == 405
    assert gateway.admin.get("/audit/x").status == 404
    assert gateway.admin.get("/audit").json == {"entries": [], "count": 0, "nextCursor": None}


@pytest.mark.parametrize(("count", "limit"), [(7, 3), (6, 3), (1, 1), (7, 200)])
def test_pages_contain_each_entry_once(aws_gateway: AwsGateway, count: int, limit: int) -> None:
    """Pages are newest first and include entries of the same millisecond; each page costs one query."""
    expected = [entry.target for entry in record(aws_gateway, count)]
    aws_gateway.admin.get("/audit")
    seen: list[str] = []
    cursor = ""
    for _ in range(-(-count // limit)):
        with aws_calls(aws_gateway.clients) as calls:
            page = aws_gateway.admin.get(f"/audit?limit={limit}{cursor}").json
        assert calls == ["dynamodb.UpdateItem", "dynamodb.Query"]
        assert page["count"] == len(page["entries"]) <= limit
        seen += [entry["target"] for entry in page["entries"]]
        cursor = f"&cursor={page['nextCursor']}"
    assert page["nextCursor"] is None
    assert seen == expected


def test_the_default_page_size_is_50(gateway: Gateway) -> None:
    """The default page size is that of every list of this API."""
    record(gateway, 51)
    page = gateway.admin.get("/audit").json
    assert page["count"] == 50
    assert gateway.admin.get(f"/audit?cursor={page['nextCursor']}").json["count"] == 1


def test_new_entries_do_not_shift_pages(gateway: Gateway) -> None:
    """An entry recorded between two pages does not make another entry appear twice."""
    first = record(gateway, 4)
    page = gateway.admin.get("/audit?limit=2").json
    gateway.admin.post("/workflows", BODY)
    rest = gateway.admin.get(f"/audit?limit=2&cursor={page['nextCursor']}").json
    assert [entry["target"] for entry in rest["entries"]] == [entry.target for entry in first[2:]]


def encoded_cursor(text: str) -> str:
    """Encode a cursor as the API does."""
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=201", "limit=-1", "limit=x", "limit=", "limit=1.0", "limit=%D9%A1", "limit=99999999999",
        "cursor=", "cursor=x", "cursor=%00", "cursor=%F0%9F%A6%8A", f"cursor={'A' * 5000}", "cursor=null",
        f"cursor={encoded_cursor('KEY')}",
        f"cursor={encoded_cursor('2026-01-31T12:00:00.000Z')}",
        f"cursor={encoded_cursor('2026-13-31T12:00:00.000Z#0b7f4f52-6d0f-4f0e-a6a8-3c8c1b7cf001')}",
        f"cursor={encoded_cursor('2026-01-31T12:00:00.000Z#0b7f4f52-6d0f-4f0e-a6a8-3c8c1b7cf001 ')}",
        f"cursor={encoded_cursor(json.dumps({'pk': {'S': 'KEY#1'}, 'sk': {'S': 'KEY'}}))}",
    ],
)  # fmt: skip
def test_invalid_parameters_are_400(gateway: Gateway, query: str) -> None:
    """An invalid limit or cursor is reported by its parameter name."""
    record(gateway, 1)
    response = gateway.admin.get(f"/audit?{query}")
    assert (response.status, response.json["error"]) == (400, "VALIDATION_ERROR")
    assert [error["path"] for error in response.json["details"]["errors"]] == [query.partition("=")[0]]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
def test_a_forged_cursor_reads_only_the_audit_log(gateway: Gateway, at: str) -> None:
    """A forged cursor starts a page within the audit log and cannot read other items."""
    gateway.admin.post("/workflows", BODY)
    cursor = encoded_cursor(f"{at}#0b7f4f52-6d0f-4f0e-a6a8-3c8c1b7cf001")
    entries = gateway.admin.get(f"/audit?cursor={cursor}").json["entries"]
    assert [entry["action"] for entry in entries] == ([] if at.startswith("0") else ["workflow.created"])


@pytest.mark.parametrize(("retention_days", "expected_days"), [(30, 400), (3650, 3650)])
def test_entries_expire_after_400_days_or_with_the_jobs(
    aws: dict[str, str], aws_clients: Clients, retention_days: int, expected_days: int
) -> None:
    """Entries expire after 400 days, or with the retention of jobs if that is longer."""
    log = DynamoAuditLog(aws_clients.dynamodb, aws["TABLE_NAME"], retention_days)
    entry = AuditEntry(position=PagePosition(NOW, new_job_id()), by=BY, action=AuditAction.KEY_REVOKED, target="ci")
    log.record(entry)
    (item,) = aws_clients.dynamodb.scan(TableName=aws["TABLE_NAME"])["Items"]
    expires_at = timestamps.from_milliseconds(int(item["expiresAt"]["N"]) * 1000)
    assert expires_at - NOW.replace(microsecond=0) == timedelta(days=expected_days)


def test_an_entry_survives_storage(gateway: Gateway) -> None:
    """An entry survives storage with and without its optional fields."""
    whole = AuditEntry(
        position=PagePosition(NOW, new_job_id()),
        by=BY,
        action=AuditAction.DEAD_LETTERS_REDRIVEN,
        target="jobs-high-dead",
        before="a" * 64,
        after="b" * 64,
    )
    bare = replace(
        whole,
        position=PagePosition(NOW - timedelta(1), new_job_id()),
        by=replace(BY, actor=replace(BY.actor, key_name=None)),
        before=None,
        after=None,
    )
    for entry in (whole, bare):
        gateway.wiring.audit.record(entry)
    assert gateway.wiring.audit.newest(5, before=None) == [whole, bare]
    assert gateway.admin.get("/audit").json["entries"][1]["actor"]["keyName"] is None
