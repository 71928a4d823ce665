"""The permissions of each function and of the executor: the least that each needs.

All items share one table, so a grant on the table alone would let any function write API keys. Grants are by kind of
item: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from gateway.aws.resources import JOB_QUEUES, TABLE, WEBHOOK_QUEUE
from gateway.domain.object_keys import OUTPUT_PREFIX, PROMPT_PREFIX, TEMPLATE_PREFIX
from infra.nag_suppressions import acknowledge
from infra.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.state import StateStack


class ItemKind(StrEnum):
    """A kind of item, by the pattern of its partition key."""

    AUDIT = "AUDIT"
    EXECUTORS = "EXECUTOR"
    JOBS = "JOB#*"
    KEYS = "KEY#*"
    MODELS = "EXECUTOR_MODELS"
    RATES = "RATE#*"
    RESULTS = "RESULT#*"
    STATS = "STATS"
    SWEEPS = "SWEEPER"
    WORKFLOWS = "WORKFLOW"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """What a role may do. `gets`, `puts` and `tags`: prefixes of object keys in the bucket."""

    reads: Sequence[ItemKind] = ()
    writes: Sequence[ItemKind] = ()  # puts and updates
    deletes: Sequence[ItemKind] = ()
    lists_jobs: bool = False
    gets: Sequence[str] = ()
    puts: Sequence[str] = ()
    tags: Sequence[str] = ()
    sends_jobs: bool = False
    runs_jobs: bool = False
    counts_messages: bool = False  # in the job queues and their dead-letter queues
    publishes: bool = False
    sends_webhooks: bool = False  # to the webhook queue
    delays_webhooks: bool = False  # changes the visibility timeout of failed ones
    secrets: Sequence[Secret] = ()

    def grant(self, policy: iam.ManagedPolicy | iam.Role, state: StateStack) -> None:
        """Add the grants to a managed policy, or to the inline policy of a role."""
        add = policy.add_statements if isinstance(policy, iam.ManagedPolicy) else policy.add_to_policy
        for statement in self._statements(state):
            add(statement)
        bucket = state.bucket_arn_in(cdk.Stack.of(policy))
        for prefix in {*self.gets, *self.puts, *self.tags}:
            reason = "Keys of one kind of object share a prefix and end in ids."
            acknowledge(policy, f"AwsSolutions-IAM5[Resource::{bucket}/{prefix}*]", reason)

    def _statements(self, state: StateStack) -> list[iam.PolicyStatement]:
        table, bucket = state.table.table_arn, state.bucket
        queues = [state.queues[queue.name].queue_arn for queue in JOB_QUEUES.values()]
        webhooks = [state.queues[WEBHOOK_QUEUE.name].queue_arn]
        counted = [*queues, *(state.queues[queue.dead_letter_name].queue_arn for queue in JOB_QUEUES.values())]
        return [
            *_on_items(table, ("GetItem", "BatchGetItem", "Query"), self.reads),
            *_on_items(table, ("PutItem", "UpdateItem"), self.writes),
            *_on_items(table, ("DeleteItem",), self.deletes),
            *_allow(
                "dynamodb", ("Query",), [f"{table}/index/{i.name}" for i in TABLE.indexes] if self.lists_jobs else []
            ),
            *_allow("s3", ("GetObject",), [bucket.arn_for_objects(f"{prefix}*") for prefix in self.gets]),
            # Without ListBucket, S3 returns 403 instead of 404 for a missing object.
            *_allow("s3", ("ListBucket",), [bucket.bucket_arn] if self.gets else []),
            *_allow(
                "s3",
                ("PutObject", "AbortMultipartUpload"),
                [bucket.arn_for_objects(f"{prefix}*") for prefix in self.puts],
            ),
            *_allow("s3", ("PutObjectTagging",), [bucket.arn_for_objects(f"{prefix}*") for prefix in self.tags]),
            *_allow("sqs", ("SendMessage",), queues if self.sends_jobs else []),
            *_allow(
                "sqs",
                ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes"),
                queues if self.runs_jobs else [],
            ),
            *_allow("sqs", ("GetQueueAttributes",), counted if self.counts_messages else []),
            *_allow("events", ("PutEvents",), [state.bus.event_bus_arn] if self.publishes else []),
            *_allow("sqs", ("SendMessage",), webhooks if self.sends_webhooks else []),
            *_allow("sqs", ("ChangeMessageVisibility",), webhooks if self.delays_webhooks else []),
            *_allow("secretsmanager", ("GetSecretValue",), self.secret_arns(state)),
        ]

    def secret_arns(self, state: StateStack) -> list[str]:
        """Return the ARNs of the granted secrets that the stage has."""
        # The attribute Id, not Ref: Ref is the ARN on AWS, but the name in the embedded AWS of the tests.
        return [state.secrets[each].attr_id for each in self.secrets if each in state.secrets]


def _on_items(table: str, actions: Sequence[str], items: Sequence[ItemKind]) -> list[iam.PolicyStatement]:
    conditions = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": sorted(items)}}
    return _allow("dynamodb", actions, [table] if items else [], conditions)


def _allow(
    service: str, actions: Sequence[str], resources: Sequence[str], conditions: dict[str, Any] | None = None
) -> list[iam.PolicyStatement]:
    if not resources:
        return []
    named = [f"{service}:{action}" for action in actions]
    return [iam.PolicyStatement(actions=named, resources=list(resources), conditions=conditions)]


def _api_function(
    *,
    reads: Sequence[ItemKind] = (),
    writes: Sequence[ItemKind] = (),
    secrets: Sequence[Secret] = (),
    **others: Any,  # noqa: ANN401  fields of Grants
) -> Grants:
    """Add what every API function needs: to authenticate a request, and to count it."""
    return Grants(
        reads=[ItemKind.KEYS, *reads], writes=[ItemKind.RATES, *writes], secrets=[Secret.JWT, *secrets], **others
    )


# By function name. A function that is missing here cannot be deployed.
FUNCTIONS = {
    "jobs": _api_function(
        reads=[ItemKind.JOBS, ItemKind.WORKFLOWS, ItemKind.RESULTS, ItemKind.EXECUTORS],
        writes=[ItemKind.JOBS],
        lists_jobs=True,
        gets=[TEMPLATE_PREFIX, OUTPUT_PREFIX],  # a presigned URL has the permissions of the role that signed it
        puts=[PROMPT_PREFIX],
        sends_jobs=True,
        publishes=True,
        sends_webhooks=True,
        secrets=[Secret.WEBHOOK],  # without it, jobs with a callbackUrl are rejected
    ),
    "workflows": _api_function(
        reads=[ItemKind.WORKFLOWS, ItemKind.EXECUTORS, ItemKind.MODELS],
        writes=[ItemKind.WORKFLOWS, ItemKind.AUDIT],
        deletes=[ItemKind.WORKFLOWS],
        gets=[TEMPLATE_PREFIX],
        puts=[TEMPLATE_PREFIX],
        tags=[TEMPLATE_PREFIX],
    ),
    "audit": _api_function(reads=[ItemKind.AUDIT]),
    "stats": _api_function(reads=[ItemKind.STATS]),
    "outputs": _api_function(reads=[ItemKind.JOBS], gets=[OUTPUT_PREFIX]),
    "webhook_test": _api_function(secrets=[Secret.WEBHOOK]),
    "docs": _api_function(),
    "health": _api_function(reads=[ItemKind.EXECUTORS, ItemKind.MODELS]),
    "job_metrics": Grants(writes=[ItemKind.STATS]),
    "dead_letters": Grants(writes=[ItemKind.JOBS], publishes=True),
    "sweeper": Grants(
        reads=[ItemKind.JOBS, ItemKind.SWEEPS],
        writes=[ItemKind.JOBS, ItemKind.SWEEPS],
        lists_jobs=True,
        counts_messages=True,
        publishes=True,
    ),
    "executor_metrics": Grants(reads=[ItemKind.EXECUTORS]),
    "webhook_delivery": Grants(
        writes=[ItemKind.JOBS], gets=[OUTPUT_PREFIX], delays_webhooks=True, secrets=[Secret.WEBHOOK]
    ),
}

EXECUTOR = Grants(
    writes=[ItemKind.JOBS, ItemKind.EXECUTORS, ItemKind.MODELS, ItemKind.RESULTS],
    gets=[PROMPT_PREFIX],
    puts=[OUTPUT_PREFIX],
    runs_jobs=True,
    publishes=True,
)
