"""Workflows: heads in DynamoDB, all in one partition, so that a list is one query; templates in S3.

    create    template ─▶ { head, if the id is free + audit entry }
    update    template ─▶ { head, if it is still the one that was read + audit entry } ─▶ old template expires
    delete                { no head, if it is still the one that was read + audit entry } ─▶ its template expires

What stands in braces is one transaction. A crash after it leaves an old template in S3 for good: some kilobytes
that nobody meets, as each template has a key of its own. A template can be larger than an item may be, and never
changes once written, so a function keeps the ones it has read.
"""

from __future__ import annotations

import logging
import uuid
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from gateway.aws.dynamodb import attributes, transaction
from gateway.aws.resources import TEMPLATE_PREFIX
from gateway.clock import SYSTEM_CLOCK
from gateway.domain import timestamps
from gateway.domain.audit import AuditAction, AuditEntry
from gateway.domain.workflow import WorkflowHead, WorkflowTemplate, fingerprint
from gateway.errors import StateConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import DeleteTypeDef, PutTypeDef

    from gateway.aws.dynamodb.audit_log import DynamoAuditLog
    from gateway.domain.audit import Authorship
    from gateway.ports import Clock, ObjectStore

_PARTITION = "WORKFLOW"
_JSON = "application/json"
_TEMPLATES_KEPT = 64

logger = logging.getLogger(__name__)


class DynamoWorkflowStore:
    """The WorkflowStore port."""

    def __init__(
        self,
        client: DynamoDBClient,
        table_name: str,
        objects: ObjectStore,
        audit: DynamoAuditLog,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._client = client
        self._table_name = table_name
        self._objects = objects
        self._audit = audit
        self._clock = clock
        self._kept: OrderedDict[str, WorkflowTemplate] = OrderedDict()

    def create(
        self, workflow_id: str, name: str, description: str, template: WorkflowTemplate, by: Authorship
    ) -> WorkflowHead:
        """Put a new workflow, template first: a head never points at nothing. Raises StateConflictError."""
        now = self._clock.now()
        head = WorkflowHead(
            id=workflow_id,
            name=name,
            description=description,
            version=1,
            created_at=now,
            updated_at=now,
            template_key=self._put_template(workflow_id, 1, template),
        )
        entry = AuditEntry.new(
            AuditAction.WORKFLOW_CREATED, workflow_id, by=by, at=now, after=fingerprint(head, template)
        )
        put: PutTypeDef = {
            "TableName": self._table_name,
            "Item": attributes.write(_to_fields(head)),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        if not transaction.write(self._client, [{"Put": put}, {"Put": self._audit.put(entry)}]):
            self._retire(head.template_key)
            raise StateConflictError(f"A workflow '{head.id}' exists already.")
        return head

    def update(
        self, head: WorkflowHead, name: str, description: str, template: WorkflowTemplate, by: Authorship
    ) -> WorkflowHead:
        """Put the version after `head`. Raises StateConflictError when that is no longer the newest."""
        old_template = self.template(head.template_key)
        version = head.version + 1
        same = template.to_json() == old_template.to_json()  # Python takes 1, 1.0 and true for equal
        new = replace(
            head,
            name=name,
            description=description,
            version=version,
            updated_at=self._clock.now(),
            template_key=head.template_key if same else self._put_template(head.id, version, template),
        )
        entry = AuditEntry.new(
            AuditAction.WORKFLOW_UPDATED,
            head.id,
            by=by,
            at=new.updated_at,
            before=fingerprint(head, old_template),
            after=fingerprint(new, template),
        )
        put: PutTypeDef = {
            "TableName": self._table_name,
            "Item": attributes.write(_to_fields(new)),
            "ConditionExpression": _STILL_THERE,
            "ExpressionAttributeNames": _NAMES,
            "ExpressionAttributeValues": _identity(head),
        }
        written = transaction.write(self._client, [{"Put": put}, {"Put": self._audit.put(entry)}])
        if not same:
            self._retire(head.template_key if written else new.template_key)
        if not written:
            raise _overtaken(head)
        return new

    def delete(self, head: WorkflowHead, by: Authorship) -> None:
        """Forget a workflow. Raises StateConflictError when `head` is no longer the newest version."""
        entry = AuditEntry.new(
            AuditAction.WORKFLOW_DELETED,
            head.id,
            by=by,
            at=self._clock.now(),
            before=fingerprint(head, self.template(head.template_key)),
        )
        delete: DeleteTypeDef = {
            "TableName": self._table_name,
            "Key": head_key(head.id),
            "ConditionExpression": _STILL_THERE,
            "ExpressionAttributeNames": _NAMES,
            "ExpressionAttributeValues": _identity(head),
        }
        if not transaction.write(self._client, [{"Delete": delete}, {"Put": self._audit.put(entry)}]):
            raise _overtaken(head)
        self._retire(head.template_key)

    def head(self, workflow_id: str) -> WorkflowHead | None:
        """Read the newest version's head, or None."""
        answer = self._client.get_item(TableName=self._table_name, Key=head_key(workflow_id), ConsistentRead=True)
        return read_head(answer["Item"]) if "Item" in answer else None

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
        return [read_head(item) for page in pages for item in page["Items"]]

    def _put_template(self, workflow_id: str, version: int, template: WorkflowTemplate) -> str:
        # A fresh key each time: an id that is deleted and taken again must not meet an old template.
        key = f"{TEMPLATE_PREFIX}{workflow_id}/{version}-{uuid.uuid4().hex}.json"
        self._objects.put(key, template.to_json().encode(), content_type=_JSON)
        return key

    def _retire(self, template_key: str) -> None:
        try:
            self._objects.expire(template_key, content_type=_JSON)
        except (BotoCoreError, ClientError):
            # The change itself is written, or refused, and that is what the caller has to hear.
            logger.warning("template %s stays in the bucket for good", template_key, exc_info=True)


# A version alone would not do: an id that was deleted and taken again starts at 1 anew, with another template.
_STILL_THERE = "#version = :version AND templateKey = :templateKey"
_NAMES = {"#version": "version"}


def _identity(head: WorkflowHead) -> Any:  # noqa: ANN401  boto3's own type for values is not importable
    return attributes.write({":version": head.version, ":templateKey": head.template_key})


def _overtaken(head: WorkflowHead) -> StateConflictError:
    return StateConflictError(f"Workflow '{head.id}' was changed by somebody else meanwhile. Read it again.")


def head_key(workflow_id: str) -> Any:  # noqa: ANN401  boto3's own type for keys is not importable
    """Make the key of a workflow's head."""
    return attributes.write({"pk": _PARTITION, "sk": workflow_id})


def _to_fields(head: WorkflowHead) -> dict[str, str | int | bool | None]:
    return {
        "pk": _PARTITION,
        "sk": head.id,
        "name": head.name,
        "description": head.description,
        "version": head.version,
        "createdAt": timestamps.to_text(head.created_at),
        "updatedAt": timestamps.to_text(head.updated_at),
        "templateKey": head.template_key,
    }


def read_head(item: attributes.Item) -> WorkflowHead:
    """Read a head's item."""
    fields = attributes.read(item)
    return WorkflowHead(
        id=fields["sk"],
        name=fields["name"],
        description=fields["description"],
        version=fields["version"],
        created_at=timestamps.from_text(fields["createdAt"]),
        updated_at=timestamps.from_text(fields["updatedAt"]),
        template_key=fields["templateKey"],
    )
