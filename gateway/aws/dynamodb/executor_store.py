"""Heartbeats and model lists of executors in DynamoDB.

Heartbeats are written every few seconds and read by every health check and every estimate: they are small, and in one
partition. An executor's models change rarely and can be many, so they have an item of their own.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from gateway.aws.dynamodb import attributes
from gateway.domain import timestamps
from gateway.domain.executor import Device, Heartbeat
from gateway.domain.model_files import ModelFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

_HEARTBEATS = "EXECUTOR"
_MODELS = "EXECUTOR_MODELS"


class DynamoExecutorStore:
    """Implements the port `ExecutorStore`."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def put_heartbeat(self, heartbeat: Heartbeat, *, expires_at: datetime) -> None:
        """Write an executor's heartbeat in place of its last one."""
        fields: attributes.Fields = {
            "pk": _HEARTBEATS,
            "sk": heartbeat.id,
            "version": heartbeat.version,
            "lastSeenAt": timestamps.to_text(heartbeat.last_seen_at),
            "jobs": heartbeat.jobs,
            "currentJobId": heartbeat.current_job_id,
            "waiting": heartbeat.waiting,
            "meanRunMs": heartbeat.mean_run_ms,
            "comfyuiUrl": heartbeat.comfyui_url,
            "comfyuiReachable": heartbeat.comfyui_reachable,
            "comfyuiVersion": heartbeat.comfyui_version,
            "device": attributes.to_json(asdict(heartbeat.device)) if heartbeat.device else None,
            "expiresAt": timestamps.to_milliseconds(expires_at) // 1000,
        }
        self._client.put_item(TableName=self._table_name, Item=attributes.write(fields))

    def heartbeats(self, since: datetime) -> Sequence[Heartbeat]:
        """Read the heartbeats sent at `since` or later, by executor id."""
        all_heartbeats = [_heartbeat(item) for item in self._items(_HEARTBEATS)]
        return [heartbeat for heartbeat in all_heartbeats if heartbeat.last_seen_at >= since]

    def put_models(self, executor_id: str, folders: Mapping[str, ModelFolder], *, expires_at: datetime) -> None:
        """Write the models of an executor's ComfyUI in place of its last ones."""
        fields: attributes.Fields = {
            "pk": _MODELS,
            "sk": executor_id,
            "folders": attributes.to_json({name: [folder.count, folder.names] for name, folder in folders.items()}),
            "expiresAt": timestamps.to_milliseconds(expires_at) // 1000,
        }
        self._client.put_item(TableName=self._table_name, Item=attributes.write(fields))

    def models(self) -> Mapping[str, Mapping[str, ModelFolder]]:
        """Read the models of all executors, including ones that are gone, by executor id and folder."""
        items = [attributes.read(item) for item in self._items(_MODELS)]
        return {item["sk"]: _folders(item["folders"]) for item in items}

    def _items(self, partition: str) -> Iterator[attributes.Item]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table_name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues=attributes.write({":pk": partition}),
        )
        return (item for page in pages for item in page["Items"])


def _heartbeat(item: attributes.Item) -> Heartbeat:
    fields = attributes.read(item)
    return Heartbeat(
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
