"""What each function, and the executor, may do with what is stored: nothing that it does not need.

All items share one table, so a grant on the table alone would let any function write API keys. Grants are by kind of
item: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from gateway.aws.resources import JOB_QUEUES, OUTPUT_PREFIX, PROMPT_PREFIX, TABLE, TEMPLATE_PREFIX, WEBHOOK_QUEUE
from infra.nag_suppressions import acknowledge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.state import StateStack


class Items(StrEnum):
    """Kinds of items, by what their partition keys look like."""

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


class Secret(StrEnum):
    """Settings that are secret, by their names; a stage has those that it uses."""

    JWT = "JWT_SECRET"
    WEBHOOK = "WEBHOOK_SECRET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Grants. `gets`, `puts` and `tags`: objects in the bucket, by the prefixes of their keys."""

    reads: Sequence[Items] = ()
    writes: Sequence[Items] = ()  # puts and updates
    deletes: Sequence[Items] = ()
    lists_jobs: bool = False
    gets: Sequence[str] = ()
    puts: Sequence[str] = ()
    tags: Sequence[str] = ()
    sends_jobs: bool = False
    runs_jobs: bool = False
    counts_messages: bool = False  # of jobs, dead letters included
    publishes: bool = False
    sends_webhooks: bool = False  # into their queue
    hides_webhooks: bool = False  # those that failed, until the next try
    secrets: Sequence[Secret] = ()

    def grant(self, policy: iam.ManagedPolicy | iam.Role, state: StateStack) -> None:
        """Put the grants into a policy, or a role's own."""
        add = policy.add_statements if isinstance(policy, iam.ManagedPolicy) else policy.add_to_policy
        for statement in self._statements(state):
            add(statement)
        bucket = state.bucket_arn_in(cdk.Stack.of(policy))
        for prefix in {*self.gets, *self.puts, *self.tags}:
            reason = "Objects of one kind: their keys begin alike, and end in ids."
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
            # Who may not list a bucket is told 403 instead of 404 for an object that is not there.
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
            *_allow("sqs", ("ChangeMessageVisibility",), webhooks if self.hides_webhooks else []),
            *_allow("secretsmanager", ("GetSecretValue",), self.secret_arns(state)),
        ]

    def secret_arns(self, state: StateStack) -> list[str]:
        """Name those of its secrets that the stage has."""
        # Its attribute Id, and not what a reference gives: that is the ARN on AWS, but the name in the embedded one.
        return [state.secrets[each].attr_id for each in self.secrets if each in state.secrets]


def _on_items(table: str, actions: Sequence[str], items: Sequence[Items]) -> list[iam.PolicyStatement]:
    conditions = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": sorted(items)}}
    return _allow("dynamodb", actions, [table] if items else [], conditions)


def _allow(
    service: str, actions: Sequence[str], resources: Sequence[str], conditions: dict[str, Any] | None = None
) -> list[iam.PolicyStatement]:
    if not resources:
        return []
    named = [f"{service}:{action}" for action in actions]
    return [iam.PolicyStatement(actions=named, resources=list(resources), conditions=conditions)]


def _requested(
    *,
    reads: Sequence[Items] = (),
    writes: Sequence[Items] = (),
    secrets: Sequence[Secret] = (),
    **others: Any,  # noqa: ANN401  as Access has them
) -> Access:
    """Of a function that answers requests: each request shows a key or a token, and is counted."""
    return Access(reads=[Items.KEYS, *reads], writes=[Items.RATES, *writes], secrets=[Secret.JWT, *secrets], **others)


# By the function's name. One that is missing here can't be deployed.
FUNCTIONS = {
    "jobs": _requested(
        reads=[Items.JOBS, Items.WORKFLOWS, Items.RESULTS, Items.EXECUTORS],
        writes=[Items.JOBS],
        lists_jobs=True,
        gets=[TEMPLATE_PREFIX, OUTPUT_PREFIX],  # outputs: the URLs that it signs read in its name
        puts=[PROMPT_PREFIX],
        sends_jobs=True,
        publishes=True,
        sends_webhooks=True,
        secrets=[Secret.WEBHOOK],  # without one, callbacks are refused
    ),
    "workflows": _requested(
        reads=[Items.WORKFLOWS, Items.EXECUTORS, Items.MODELS],
        writes=[Items.WORKFLOWS, Items.AUDIT],
        deletes=[Items.WORKFLOWS],
        gets=[TEMPLATE_PREFIX],
        puts=[TEMPLATE_PREFIX],
        tags=[TEMPLATE_PREFIX],
    ),
    "audit": _requested(reads=[Items.AUDIT]),
    "stats": _requested(reads=[Items.STATS]),
    "outputs": _requested(reads=[Items.JOBS], gets=[OUTPUT_PREFIX]),
    "webhook_test": _requested(secrets=[Secret.WEBHOOK]),
    "docs": _requested(),
    "health": _requested(reads=[Items.EXECUTORS, Items.MODELS]),
    "job_metrics": Access(writes=[Items.STATS]),
    "dead_letters": Access(writes=[Items.JOBS], publishes=True),
    "sweeper": Access(
        reads=[Items.JOBS, Items.SWEEPS],
        writes=[Items.JOBS, Items.SWEEPS],
        lists_jobs=True,
        counts_messages=True,
        publishes=True,
    ),
    "executor_metrics": Access(reads=[Items.EXECUTORS]),
    "webhook_delivery": Access(
        writes=[Items.JOBS], gets=[OUTPUT_PREFIX], hides_webhooks=True, secrets=[Secret.WEBHOOK]
    ),
}

EXECUTOR = Access(
    writes=[Items.JOBS, Items.EXECUTORS, Items.MODELS, Items.RESULTS],
    gets=[PROMPT_PREFIX],
    puts=[OUTPUT_PREFIX],
    runs_jobs=True,
    publishes=True,
)
