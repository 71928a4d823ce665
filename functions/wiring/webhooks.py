"""What functions of every kind need for webhooks."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from functions.wiring.base import BaseWiring

if TYPE_CHECKING:
    from functions.webhooks.callback_check import CallbackCheck
    from functions.webhooks.dns import Resolver
    from functions.webhooks.http_client import Sender
    from functions.webhooks.signing import Signer
    from gateway.domain.callback_url import CallbackPolicy
    from gateway.ports import DeliveryStore, WebhookQueue


class WebhookWiring(BaseWiring):
    """Each made once and only when a function uses it, as the others are."""

    @cached_property
    def callback_policy(self) -> CallbackPolicy:
        """Where webhooks may go."""
        from gateway.domain.callback_url import CallbackPolicy  # noqa: PLC0415  see functions.wiring.base

        return CallbackPolicy(
            allowed_domains=self.settings.webhook_allowed_domains,
            allow_http=self.settings.webhook_allow_http,
            allow_loopback=self.settings.webhook_allow_loopback,
        )

    @cached_property
    def resolver(self) -> Resolver:
        """What finds the addresses of receivers."""
        from functions.webhooks.dns import SystemResolver  # noqa: PLC0415  see functions.wiring.base

        return SystemResolver()

    @cached_property
    def callback_check(self) -> CallbackCheck:
        """Checks callback URLs."""
        from functions.webhooks.callback_check import CallbackCheck  # noqa: PLC0415  see functions.wiring.base

        return CallbackCheck(
            enabled=bool(self.settings.webhook_secret or self.settings.webhook_secret_previous),
            policy=lambda: self.callback_policy,
            resolver=lambda: self.resolver,
        )

    @cached_property
    def signer(self) -> Signer | None:
        """What signs webhooks; None when there is no secret."""
        from functions.webhooks.signing import Signer  # noqa: PLC0415  see functions.wiring.base

        given = (self.settings.webhook_secret, self.settings.webhook_secret_previous)
        secrets = [secret.get_secret_value() for secret in given if secret]
        if not secrets:
            return None
        renewals = dict(self.settings.webhook_secret_renewals)
        return Signer(secrets, per_owner=self.settings.webhook_secret_per_owner, renewals=renewals)

    @cached_property
    def sender(self) -> Sender:
        """What sends webhooks."""
        from functions.webhooks.http_client import Sender  # noqa: PLC0415  see functions.wiring.base

        return Sender(self.callback_policy, self.resolver)

    @cached_property
    def deliveries(self) -> DeliveryStore:
        """Deliveries of webhooks."""
        from gateway.aws.dynamodb.delivery_store import DynamoDeliveryStore  # noqa: PLC0415  see functions.wiring.base

        return DynamoDeliveryStore(self._clients.dynamodb, self.settings.table_name)

    @cached_property
    def webhook_queue(self) -> WebhookQueue:
        """Webhooks to deliver."""
        from gateway.aws.sqs.webhook_queue import SqsWebhookQueue  # noqa: PLC0415  see functions.wiring.base

        return SqsWebhookQueue(self._clients.sqs, self.settings.webhook_queue_url)
