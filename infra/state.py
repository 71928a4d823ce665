"""The stack with everything that stores data: table, bucket, queues, event bus and secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs

from gateway.aws.resources import BUCKET, JOB_QUEUES, TABLE, WEBHOOK_QUEUE, WEBHOOK_RULE
from infra.nag_suppressions import acknowledge
from infra.secrets import Secret

if TYPE_CHECKING:
    from constructs import Construct

    from gateway.aws.resources import BucketResource, QueueResource, RuleResource, TableResource
    from infra.stage import Stage

EVENTS_LOST = "events-lost"  # dead-letter queue of the rule that fills the webhook queue


class StateStack(cdk.Stack):
    """The stack. `settings`: the settings with which functions and executors find its resources."""

    def __init__(self, scope: Construct, name: str, stage: Stage) -> None:
        super().__init__(scope, name, termination_protection=stage.keep_data)
        self._stage = stage
        self._removal = cdk.RemovalPolicy.RETAIN if stage.keep_data else cdk.RemovalPolicy.DESTROY
        self.table = self._make_table(TABLE)
        self.bucket = self._make_bucket(BUCKET)
        # All queues, including dead-letter queues, by their names in gateway.aws.resources.
        self.queues: dict[str, sqs.Queue] = {}
        for queue in JOB_QUEUES.values():
            self._make_queue(queue)
        self.bus = events.EventBus(self, "Bus")
        self._make_queue(WEBHOOK_RULE.queue)
        self.webhook_rule = self._make_rule(WEBHOOK_RULE)
        used = {Secret.JWT: stage.jwt, Secret.WEBHOOK: stage.webhooks}
        self.secrets = {secret: self._make_secret(secret) for secret, is_used in used.items() if is_used}
        self.settings = self._settings()

    def bucket_arn_in(self, stack: cdk.Stack) -> str:
        """Return the bucket's ARN as cdk-nag writes it in findings about a stack."""
        if stack is self:
            return f"<{self.get_logical_id(cast('cdk.CfnElement', self.bucket.node.default_child))}.Arn>"
        exported = self.resolve(self.export_value(self.bucket.bucket_arn))
        return str(exported["Fn::ImportValue"])

    def _make_table(self, table: TableResource) -> dynamodb.Table:
        made = dynamodb.Table(
            self,
            "Table",
            partition_key=_text(table.partition_key),
            sort_key=_text(table.sort_key),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute=table.ttl_attribute,
            stream=dynamodb.StreamViewType[table.stream_view],
            encryption=dynamodb.TableEncryption.DEFAULT,  # the key that DynamoDB owns is free
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=self._stage.keep_data,
            removal_policy=self._removal,
        )
        for index in table.indexes:
            made.add_global_secondary_index(
                index_name=index.name,
                partition_key=_text(index.partition_key),
                sort_key=_text(index.sort_key),
                projection_type=dynamodb.ProjectionType.INCLUDE,
                non_key_attributes=list(index.projected),
            )
        return made

    def _make_bucket(self, bucket: BucketResource) -> s3.Bucket:
        tag, value = bucket.expiring_tag
        days = self._stage.retention_days
        rules = [
            s3.LifecycleRule(id=f"expire {prefix}", prefix=prefix, expiration=cdk.Duration.days(days))
            for prefix in bucket.expiring_prefixes
        ]
        made = s3.Bucket(
            self,
            "Files",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            cors=[
                s3.CorsRule(
                    allowed_origins=[*bucket.cors.origins],
                    allowed_methods=[s3.HttpMethods(method) for method in bucket.cors.methods],
                    allowed_headers=[*bucket.cors.headers],
                    exposed_headers=[*bucket.cors.exposed_headers],
                )
            ],
            lifecycle_rules=[
                *rules,
                s3.LifecycleRule(id=f"expire {tag}", tag_filters={tag: value}, expiration=cdk.Duration.days(days + 1)),
                s3.LifecycleRule(
                    id="abort incomplete uploads", abort_incomplete_multipart_upload_after=cdk.Duration.days(1)
                ),
            ],
            removal_policy=self._removal,
        )
        acknowledge(
            made,
            "AwsSolutions-S1",
            "An access log would cost more than the requests. CloudTrail data events can be turned on instead.",
        )
        return made

    def _make_queue(self, queue: QueueResource) -> None:
        """Make a queue and its dead-letter queue."""
        dead_letters = self._make_one_queue(queue.dead_letter_name, queue, queue.dead_letter_visibility_seconds)
        acknowledge(dead_letters, "AwsSolutions-SQS3", "It is a dead-letter queue.")
        moved = sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=queue.max_receives)
        self._make_one_queue(queue.name, queue, queue.visibility_seconds, moved)

    def _make_one_queue(
        self, name: str, queue: QueueResource, visibility_seconds: int, dead_letters: sqs.DeadLetterQueue | None = None
    ) -> sqs.Queue:
        made = self.queues[name] = sqs.Queue(
            self,
            "Queue" + "".join(part.capitalize() for part in name.split("-")),
            visibility_timeout=cdk.Duration.seconds(visibility_seconds),
            retention_period=cdk.Duration.seconds(queue.retention_seconds),
            dead_letter_queue=dead_letters,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            removal_policy=self._removal,
        )
        return made

    def _make_rule(self, rule: RuleResource) -> events.Rule:
        """Make a rule from the bus to a queue. In this stack, no event is lost while the API is deployed."""
        lost = self._make_one_queue(EVENTS_LOST, rule.queue, rule.queue.dead_letter_visibility_seconds)
        acknowledge(lost, "AwsSolutions-SQS3", "It is a dead-letter queue.")
        queue = targets.SqsQueue(
            self.queues[rule.queue.name],
            message=events.RuleTargetInput.from_event_path(rule.input_path),
            message_group_id=rule.group_path,
            dead_letter_queue=lost,
        )
        pattern = {name.replace("-", "_"): value for name, value in rule.pattern.items()}
        return events.Rule(
            self,
            f"Rule-{rule.name}",
            event_bus=self.bus,
            event_pattern=events.EventPattern(**pattern),
            targets=[queue],
        )

    def _make_secret(self, setting: Secret) -> secretsmanager.CfnSecret:
        """Make a secret with a random value for a setting, in the form that `with_secrets` reads."""
        made = secretsmanager.Secret(
            self,
            "".join(word.capitalize() for word in setting.split("_")),
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template="{}",  # noqa: S106  a template
                generate_string_key=setting,
                password_length=64,
                exclude_punctuation=True,
            ),
            removal_policy=self._removal,
        )
        acknowledge(
            made,
            "AwsSolutions-SMG4",
            "Clients outside AWS must switch at the same time. docs/deployment.md describes how.",
        )
        return cast("secretsmanager.CfnSecret", made.node.default_child)

    def _settings(self) -> dict[str, str]:
        urls = {}
        for priority, queue in JOB_QUEUES.items():
            urls[f"{priority.upper()}_QUEUE_URL"] = self.queues[queue.name].queue_url
            urls[f"{priority.upper()}_DEAD_LETTER_QUEUE_URL"] = self.queues[queue.dead_letter_name].queue_url
        return {
            "TABLE_NAME": self.table.table_name,
            "BUCKET_NAME": self.bucket.bucket_name,
            "EVENT_BUS_NAME": self.bus.event_bus_name,
            **urls,
            "WEBHOOK_QUEUE_URL": self.queues[WEBHOOK_QUEUE.name].queue_url,
        }


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
