"""Validate a job's callbackUrl at submission: policy and one DNS lookup.

The host is resolved and checked again at each delivery, because its addresses can change.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from functions.webhooks.address_check import resolve_allowed_addresses
from gateway.errors import CallbackRefusedError, NameUnresolvedError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.webhooks.dns import Resolver
    from gateway.domain.callback_url import CallbackPolicy

# A lookup usually takes milliseconds. A slower one does not reject the job: the check at delivery is the one that
# protects the network.
_LOOKUP_SECONDS = 1.0

WEBHOOKS_DISABLED = "Webhooks are not configured: the operator has to set WEBHOOK_SECRET."


class CallbackCheck:
    """Checks callback URLs. `enabled`: whether there is a secret to sign webhooks with.

    `policy` and `resolver` are called with the first URL: most jobs have none, and should not pay for them.
    """

    def __init__(
        self, *, enabled: bool, policy: Callable[[], CallbackPolicy], resolver: Callable[[], Resolver]
    ) -> None:
        self._enabled = enabled
        self._policy = policy
        self._resolver = resolver

    def problems(self, url: str | None) -> list[Problem]:
        """List what is wrong with a job's callback URL."""
        try:
            if url is not None:
                self._check(url)
        except CallbackRefusedError as refused:
            return [Problem("callbackUrl", refused.message)]
        return []

    def _check(self, url: str) -> None:
        if not self._enabled:
            raise CallbackRefusedError(WEBHOOKS_DISABLED)
        policy = self._policy()
        target = policy.target(url)
        with suppress(NameUnresolvedError):
            resolve_allowed_addresses(target, policy, self._resolver(), seconds=_LOOKUP_SECONDS)
