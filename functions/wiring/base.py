"""The composition root that functions of every kind share: ports on AWS, and the parts of webhooks."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from gateway.aws.clients import Clients
from gateway.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from functions.rendering.job_view import JobView
    from functions.webhooks.callback_check import CallbackCheck
    from functions.webhooks.dns import Resolver
    from functions.webhooks.http_client import WebhookSender
    from functions.webhooks.signing import Signer
    from gateway.domain.callback_url import CallbackPolicy
    from gateway.ports import (
        Clock,
        DeliveryStore,
        DownloadUrls,
        EventBus,
        ExecutorStore,
        JobCountStore,
        JobList,
        JobStore,
        ObjectStore,
        WebhookQueue,
    )
    from gateway.settings import FunctionSettings


class BaseWiring:
    """Makes each part once, and only when a function uses it.

    Modules are imported where they are needed, because cold starts pay for each.
    """

    settings: FunctionSettings

    def __init__(self, settings: FunctionSettings) -> None:
        self.settings = settings
        self.clock: Clock = SYSTEM_CLOCK
        self._clients = Clients(settings)

    @cached_property
    def jobs(self) -> JobStore:
        """Records of jobs."""
        from gateway.aws.dynamodb.job_store import DynamoJobStore  # noqa: PLC0415  see the class

        return DynamoJobStore(self._clients.dynamodb, self.settings.table_name, self.settings.retention_days)

    @cached_property
    def job_list(self) -> JobList:
        """Lists of jobs."""
        from gateway.aws.dynamodb.job_list import DynamoJobList  # noqa: PLC0415  see the class

        return DynamoJobList(self._clients.dynamodb, self.settings.table_name)

    @cached_property
    def job_counts(self) -> JobCountStore:
        """Counts of jobs."""
        from gateway.aws.dynamodb.job_count_store import DynamoJobCountStore  # noqa: PLC0415  see the class

        return DynamoJobCountStore(self._clients.dynamodb, self.settings.table_name, self.settings.retention_days)

    @cached_property
    def executors(self) -> ExecutorStore:
        """Heartbeats and models of executors."""
        from gateway.aws.dynamodb.executor_store import DynamoExecutorStore  # noqa: PLC0415  see the class

        return DynamoExecutorStore(self._clients.dynamodb, self.settings.table_name)

    @cached_property
    def bus(self) -> EventBus:
        """Where "job ended" events are published."""
        from gateway.aws.eventbridge import EventBridgeBus  # noqa: PLC0415  see the class

        return EventBridgeBus(self._clients.events, self.settings.event_bus_name)

    @cached_property
    def objects(self) -> ObjectStore:
        """Templates and large prompts, and outputs that have no bucket of their own."""
        from gateway.aws.s3 import S3ObjectStore  # noqa: PLC0415  see the class

        return S3ObjectStore(self._clients.s3, self.settings.bucket_name)

    @cached_property
    def outputs(self) -> ObjectStore:
        """Outputs."""
        if self.settings.s3_bucket is None:
            return self.objects
        from gateway.aws.s3 import S3ObjectStore  # noqa: PLC0415  see the class

        return S3ObjectStore(self._clients.output_s3, self.settings.s3_bucket)

    @cached_property
    def download_urls(self) -> DownloadUrls:
        """URLs of outputs: S3's own, or in local mode the gateway's."""
        secret = self.settings.file_url_secret
        if secret is None or self.settings.s3_bucket is not None:
            return self.outputs
        from functions.rendering.file_urls import GatewayFileUrls  # noqa: PLC0415  see the class

        return GatewayFileUrls(secret.get_secret_value(), self.settings.public_url, self.clock)

    @cached_property
    def job_view(self) -> JobView:
        """Renders jobs and outputs."""
        from functions.rendering.job_view import JobView  # noqa: PLC0415  see the class

        return JobView(self.download_urls, self.clock, self.settings.download_url_seconds)

    @cached_property
    def callback_policy(self) -> CallbackPolicy:
        """Where webhooks may be sent."""
        from gateway.domain.callback_url import CallbackPolicy  # noqa: PLC0415  see the class

        return CallbackPolicy(
            allowed_domains=self.settings.webhook_allowed_domains,
            allow_http=self.settings.webhook_allow_http,
            allow_loopback=self.settings.webhook_allow_loopback,
            refused_loopback_ports=frozenset(self.settings.webhook_refused_loopback_ports),
        )

    @cached_property
    def resolver(self) -> Resolver:
        """Resolves the hosts of webhook receivers."""
        from functions.webhooks.dns import SystemResolver  # noqa: PLC0415  see the class

        return SystemResolver()

    @cached_property
    def callback_check(self) -> CallbackCheck:
        """Checks callback URLs at submission."""
        from functions.webhooks.callback_check import CallbackCheck  # noqa: PLC0415  see the class

        return CallbackCheck(
            enabled=bool(self.settings.webhook_secret or self.settings.webhook_secret_previous),
            policy=lambda: self.callback_policy,
            resolver=lambda: self.resolver,
        )

    @cached_property
    def signer(self) -> Signer | None:
        """Signs webhooks; None when there is no secret."""
        from functions.webhooks.signing import Signer  # noqa: PLC0415  see the class

        configured = (self.settings.webhook_secret, self.settings.webhook_secret_previous)
        secrets = [secret.get_secret_value() for secret in configured if secret]
        if not secrets:
            return None
        renewals = dict(self.settings.webhook_secret_renewals)
        return Signer(secrets, per_owner=self.settings.webhook_secret_per_owner, renewals=renewals)

    @cached_property
    def sender(self) -> WebhookSender:
        """Sends webhooks."""
        from functions.webhooks.http_client import WebhookSender  # noqa: PLC0415  see the class

        return WebhookSender(self.callback_policy, self.resolver)

    @cached_property
    def deliveries(self) -> DeliveryStore:
        """Webhook deliveries of jobs."""
        from gateway.aws.dynamodb.delivery_store import DynamoDeliveryStore  # noqa: PLC0415  see the class

        return DynamoDeliveryStore(self._clients.dynamodb, self.settings.table_name)

    @cached_property
    def webhook_queue(self) -> WebhookQueue:
        """Webhooks to deliver."""
        from gateway.aws.sqs.webhook_queue import SqsWebhookQueue  # noqa: PLC0415  see the class

        return SqsWebhookQueue(self._clients.sqs, self.settings.webhook_queue_url)
