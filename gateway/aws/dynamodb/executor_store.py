"""What executors say of themselves, in DynamoDB.

Reports are written every few seconds and read by every health check and every estimate: they are small and lie in one
partition. The models beside an executor change rarely and can be many, so they have an item of their own.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from gateway.aws.dynamodb import attributes
from gateway.domain import timestamps
from gateway.domain.executor import Device, ExecutorReport
from gateway.domain.model_files import ModelFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

_REPORTS = "EXECUTOR"
_MODELS = "EXECUTOR_MODELS"


class DynamoExecutorStore:
    """The ExecutorStore port."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def report(self, report: ExecutorReport, *, expires_at: datetime) -> None:
        """Write an executor's report in place of its last one."""
        fields: attributes.Fields = {
            "pk": _REPORTS,
            "sk": report.id,
            "version": report.version,
            "lastSeenAt": timestamps.to_text(report.last_seen_at),
            "jobs": report.jobs,
            "currentJobId": report.current_job_id,
            "waiting": report.waiting,
            "meanRunMs": report.mean_run_ms,
            "comfyuiUrl": report.comfyui_url,
            "comfyuiReachable": report.comfyui_reachable,
            "comfyuiVersion": report.comfyui_version,
            "device": attributes.to_json(asdict(report.device)) if report.device else None,
            "expiresAt": timestamps.to_milliseconds(expires_at) // 1000,
        }
        self._client.put_item(TableName=self._table_name, Item=attributes.write(fields))

    def recent(self, since: datetime) -> Sequence[ExecutorReport]:
        """Read the reports made at `since` or later, by executor."""
        reports = [_report(item) for item in self._items(_REPORTS)]
        return [report for report in reports if report.last_seen_at >= since]

    def report_models(self, executor_id: str, folders: Mapping[str, ModelFolder], *, expires_at: datetime) -> None:
        """Write which models an executor's ComfyUI offers, in place of what was written last."""
        fields: attributes.Fields = {
            "pk": _MODELS,
            "sk": executor_id,
            "folders": attributes.to_json({name: [folder.count, folder.names] for name, folder in folders.items()}),
            "expiresAt": timestamps.to_milliseconds(expires_at) // 1000,
        }
        self._client.put_item(TableName=self._table_name, Item=attributes.write(fields))

    def models(self) -> Mapping[str, Mapping[str, ModelFolder]]:
        """Read the models of all executors, of those too that are gone: by executor id and folder."""
        items = [attributes.read(item) for item in self._items(_MODELS)]
        return {item["sk"]: _folders(item["folders"]) for item in items}

    def _items(self, partition: str) -> Iterator[attributes.Item]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table_name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues=attributes.write({":pk": partition}),
        )
        return (item for page in pages for item in page["Items"])


def _report(item: attributes.Item) -> ExecutorReport:
    fields = attributes.read(item)
    return ExecutorReport(
        id=fields["sk"],
        version=fields["version"],
        last_seen_at=timestamps.from_text(fields["lastSeenAt"]),
        jobs=fields["jobs"],
        current_job_id=fields.get("currentJobId"),
        waiting=fields["waiting"],
        mean_run_ms=fields.get("meanRunMs"),
        comfyui_url=fields["comfyuiUrl"],
        comfyui_reachable=fields["comfyuiReachable"],
        comfyui_version=fields.get("comfyuiVersion"),
        device=Device(**json.loads(fields["device"])) if "device" in fields else None,
    )


def _folders(text: str) -> dict[str, ModelFolder]:
    return {name: ModelFolder(count=count, names=tuple(names)) for name, (count, names) in json.loads(text).items()}
