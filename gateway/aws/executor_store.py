"""Executors' reports in DynamoDB, all in one partition: there are few, and a health check reads them all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gateway.aws import attributes
from gateway.domain import instant
from gateway.domain.executor import ExecutorReport

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

_PARTITION = "EXECUTOR"


class DynamoExecutorStore:
    """The ExecutorStore port."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def report(self, report: ExecutorReport, *, expires_at: datetime) -> None:
        """Write an executor's report in place of its last one."""
        fields: attributes.Fields = {
            "pk": _PARTITION,
            "sk": report.id,
            "version": report.version,
            "lastSeenAt": instant.to_text(report.last_seen_at),
            "jobs": report.jobs,
            "waiting": report.waiting,
            "meanRunMs": report.mean_run_ms,
            "comfyuiUrl": report.comfyui_url,
            "comfyuiReachable": report.comfyui_reachable,
            "comfyuiVersion": report.comfyui_version,
            "checkpoints": attributes.to_json(report.checkpoints),
            "expiresAt": instant.to_milliseconds(expires_at) // 1000,
        }
        self._client.put_item(TableName=self._table_name, Item=attributes.write(fields))

    def recent(self, since: datetime) -> Sequence[ExecutorReport]:
        """Read the reports made at `since` or later, by executor."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table_name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues=attributes.write({":pk": _PARTITION}),
        )
        reports = [_from_item(item) for page in pages for item in page["Items"]]
        return [report for report in reports if report.last_seen_at >= since]


def _from_item(item: attributes.Item) -> ExecutorReport:
    fields = attributes.read(item)
    return ExecutorReport(
        id=fields["sk"],
        version=fields["version"],
        last_seen_at=instant.from_text(fields["lastSeenAt"]),
        jobs=fields["jobs"],
        waiting=fields["waiting"],
        mean_run_ms=fields.get("meanRunMs"),
        comfyui_url=fields["comfyuiUrl"],
        comfyui_reachable=fields["comfyuiReachable"],
        comfyui_version=fields.get("comfyuiVersion"),
        checkpoints=tuple(json.loads(fields["checkpoints"])),
    )
