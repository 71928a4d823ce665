"""Resolve the host of a callback URL to addresses that the policy allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from functions.webhooks.dns import Resolver
    from gateway.domain.callback_url import CallbackPolicy, CallbackTarget


def resolve_allowed_addresses(
    target: CallbackTarget, policy: CallbackPolicy, resolver: Resolver, *, seconds: float
) -> Sequence[str]:
    """Resolve the host once, within `seconds`. Connect to the returned addresses only, never to the name again.

    Raises CallbackRefusedError when one of the addresses is not allowed, and NameUnresolvedError.
    """
    addresses = resolver.addresses(target.host, seconds=seconds) if target.address is None else [target.address]
    policy.check_addresses(addresses, port=target.port)
    return addresses
