"""Workflows: heads in one partition in DynamoDB, so that a list is one query; templates in S3.

    create    template ─▶ { head, if the id is free + audit entry }
    update    template ─▶ { head, if it is still the one that was read + audit entry } ─▶ old template expires
    delete                { no head, if it is still the one that was read + audit entry } ─▶ its template expires

The part in braces is one transaction. A crash after it leaves an old template in S3 forever: some kilobytes that
nothing refers to, since each template has its own key. A template can be larger than an item may be. It never changes
once written, so a function caches the templates it has read.
"""

from __future__ import annotations

import logging
import uuid
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from gateway.aws.dynamodb import attributes, transaction
from gateway.clock import SYSTEM_CLOCK
from gateway.domain import timestamps
from gateway.domain.audit import AuditAction, AuditEntry
from gateway.domain.object_keys import TEMPLATE_PREFIX
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
_MAX_CACHED_TEMPLATES = 64

logger = logging.getLogger(__name__)


class DynamoWorkflowStore:
    """Implements the port `WorkflowStore`."""

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
        self._cache: OrderedDict[str, WorkflowTemplate] = OrderedDict()

    def create(
        self, workflow_id: str, name: str, description: str, template: WorkflowTemplate, by: Authorship
    ) -> WorkflowHead:
        """Store a new workflow, template first: a head never points to nothing. Raises StateConflictError."""
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
            raise StateConflictError(f"A workflow '{head.id}' already exists.")
        return head

    def update(
        self, head: WorkflowHead, name: str, description: str, template: WorkflowTemplate, by: Authorship
    ) -> WorkflowHead:
        """Store the version after `head`. Raises StateConflictError when `head` is no longer the newest version."""
        old_template = self.template(head.template_key)
        version = head.version + 1
        same = template.to_json() == old_template.to_json()  # in Python, 1, 1.0 and True are equal
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
            "ConditionExpression": _IS_NEWEST,
            "ExpressionAttributeNames": _NAMES,
            "ExpressionAttributeValues": _identity(head),
        }
        written = transaction.write(self._client, [{"Put": put}, {"Put": self._audit.put(entry)}])
        if not same:
            self._retire(head.template_key if written else new.template_key)
        if not written:
            raise _conflict(head)
        return new

    def delete(self, head: WorkflowHead, by: Authorship) -> None:
        """Delete a workflow. Raises StateConflictError when `head` is no longer the newest version."""
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
            "ConditionExpression": _IS_NEWEST,
            "ExpressionAttributeNames": _NAMES,
            "ExpressionAttributeValues": _identity(head),
        }
        if not transaction.write(self._client, [{"Delete": delete}, {"Put": self._audit.put(entry)}]):
            raise _conflict(head)
        self._retire(head.template_key)

    def head(self, workflow_id: str) -> WorkflowHead | None:
        """Read the newest version's head, or None."""
        response = self._client.get_item(TableName=self._table_name, Key=head_key(workflow_id), ConsistentRead=True)
        return read_head(response["Item"]) if "Item" in response else None

    def template(self, template_key: str) -> WorkflowTemplate:
        """Read the template of one version, from the cache if it has it."""
        cached = self._cache.get(template_key)
        if cached is None:
            cached = WorkflowTemplate.from_json(self._objects.get(template_key))
            self._cache[template_key] = cached
            if len(self._cache) > _MAX_CACHED_TEMPLATES:
                self._cache.popitem(last=False)
        self._cache.move_to_end(template_key)
        return cached

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
        # A new key each time: an id that is deleted and created again must not get an old template.
        key = f"{TEMPLATE_PREFIX}{workflow_id}/{version}-{uuid.uuid4().hex}.json"
        self._objects.put(key, template.to_json().encode(), content_type=_JSON)
        return key

    def _retire(self, template_key: str) -> None:
        try:
            self._objects.expire(template_key, content_type=_JSON)
        except (BotoCoreError, ClientError):
            # The change itself was written or refused; the caller must get that result.
            logger.warning("template %s stays in the bucket forever", template_key, exc_info=True)


# The version alone is not enough: an id that was deleted and created again starts at 1 with another template.
_IS_NEWEST = "#version = :version AND templateKey = :templateKey"
_NAMES = {"#version": "version"}


def _identity(head: WorkflowHead) -> Any:  # noqa: ANN401  boto3's own type for values is not importable
    return attributes.write({":version": head.version, ":templateKey": head.template_key})


def _conflict(head: WorkflowHead) -> StateConflictError:
    return StateConflictError(f"Workflow '{head.id}' was changed by another request meanwhile. Read it again.")


def head_key(workflow_id: str) -> Any:  # noqa: ANN401  boto3's own type for keys is not importable
    """Return the key of a workflow's head."""
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
