"""Workflows: heads in DynamoDB, all in one partition, so that a list is one query; templates in S3.

A template can be larger than an item may be, and never changes once written, so a function keeps the
ones it has read.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from gateway.aws import attributes
from gateway.aws.resources import TEMPLATE_PREFIX
from gateway.domain import instant
from gateway.domain.workflow import WorkflowHead, WorkflowTemplate
from gateway.errors import StateConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from gateway.ports import ObjectStore

_PARTITION = "WORKFLOW"
_TEMPLATES_KEPT = 64


class DynamoWorkflowStore:
    """The WorkflowStore port."""

    def __init__(self, client: DynamoDBClient, table_name: str, objects: ObjectStore) -> None:
        self._client = client
        self._table_name = table_name
        self._objects = objects
        self._kept: OrderedDict[str, WorkflowTemplate] = OrderedDict()

    def create(self, workflow_id: str, name: str, description: str, template: WorkflowTemplate) -> WorkflowHead:
        """Put a new workflow, template first: a head never points at nothing. Raises StateConflictError."""
        now = instant.now()
        head = WorkflowHead(
            id=workflow_id,
            name=name,
            description=description,
            version=1,
            created_at=now,
            updated_at=now,
            template_key=self._put_template(workflow_id, 1, template),
        )
        try:
            self._client.put_item(
                TableName=self._table_name,
                Item=attributes.write(_to_fields(head)),
                ConditionExpression="attribute_not_exists(pk)",
            )
        except ClientError as error:
            if attributes.failed_condition(error) is None:
                raise
            raise StateConflictError(f"A workflow '{head.id}' exists already.") from None
        return head

    def head(self, workflow_id: str) -> WorkflowHead | None:
        """Read the newest version's head, or None."""
        answer = self._client.get_item(TableName=self._table_name, Key=_key(workflow_id), ConsistentRead=True)
        return _from_item(answer["Item"]) if "Item" in answer else None

    def template(self, template_key: str) -> WorkflowTemplate:
        """Read the template of one version; at most once per process, as long as it is in use."""
        kept = self._kept.get(template_key)
        if kept is None:
            kept = WorkflowTemplate.from_json(self._objects.get(template_key))
            self._kept[template_key] = kept
            if len(self._kept) > _TEMPLATES_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(template_key)
        return kept

    def heads(self) -> Sequence[WorkflowHead]:
        """Read all heads, by id."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table_name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues=attributes.write({":pk": _PARTITION}),
            ConsistentRead=True,
        )
        return [_from_item(item) for page in pages for item in page["Items"]]

    def _put_template(self, workflow_id: str, version: int, template: WorkflowTemplate) -> str:
        # A fresh key each time: an id that is deleted and taken again must not meet an old template.
        key = f"{TEMPLATE_PREFIX}{workflow_id}/{version}-{uuid.uuid4().hex}.json"
        self._objects.put(key, template.to_json().encode(), content_type="application/json")
        return key


def _key(workflow_id: str) -> Any:  # noqa: ANN401  boto3's own type for keys is not importable
    return attributes.write({"pk": _PARTITION, "sk": workflow_id})


def _to_fields(head: WorkflowHead) -> dict[str, str | int | bool | None]:
    return {
        "pk": _PARTITION,
        "sk": head.id,
        "name": head.name,
        "description": head.description,
        "version": head.version,
        "createdAt": instant.to_text(head.created_at),
        "updatedAt": instant.to_text(head.updated_at),
        "templateKey": head.template_key,
    }


def _from_item(item: attributes.Item) -> WorkflowHead:
    fields = attributes.read(item)
    return WorkflowHead(
        id=fields["sk"],
        name=fields["name"],
        description=fields["description"],
        version=fields["version"],
        created_at=instant.from_text(fields["createdAt"]),
        updated_at=instant.from_text(fields["updatedAt"]),
        template_key=fields["templateKey"],
    )
