"""Whether a job's end can be told to where its callback URL points, as far as that is known when the job comes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.errors import CallbackRefusedError, NameUnresolvedError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from functions.webhooks.dns import Resolver
    from functions.wiring.webhooks import WebhookWiring
    from gateway.domain.callback_url import CallbackPolicy, CallbackTarget

# Usually a look-up takes milliseconds. One that takes longer keeps no job from being accepted: the host is looked up
# and judged again at delivery, where it counts.
_LOOK_UP_SECONDS = 1.0

NOT_SET_UP = "Webhooks are not set up here: the operator has to set WEBHOOK_SECRET."


class CallbackCheck:
    """Checks callback URLs. What it takes for that is made when the first one comes: most jobs have none."""

    def __init__(self, adapters: WebhookWiring) -> None:
        self._adapters = adapters

    def problems(self, url: str | None) -> list[Problem]:
        """Say what is wrong with a job's callback URL."""
        try:
            if url is not None:
                self._check(url)
        except CallbackRefusedError as refused:
            return [Problem("callbackUrl", refused.message)]
        return []

    def _check(self, url: str) -> None:
        if self._adapters.signer is None:
            raise CallbackRefusedError(NOT_SET_UP)
        policy = self._adapters.callback_policy
        target = policy.target(url)
        with suppress(NameUnresolvedError):
            judged_addresses(target, policy, self._adapters.resolver, seconds=_LOOK_UP_SECONDS)


def judged_addresses(
    target: CallbackTarget, policy: CallbackPolicy, resolver: Resolver, *, seconds: float
) -> Sequence[str]:
    """Look a host up, once. All its addresses may be connected to, and no others.

    Raises CallbackRefusedError when one of them may not be, and NameUnresolvedError.
    """
    addresses = resolver.addresses(target.host, seconds=seconds) if target.address is None else [target.address]
    policy.judge(addresses)
    return addresses
