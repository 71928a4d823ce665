"""The address under which the current caller reached the gateway, for URLs in responses."""

from __future__ import annotations

from contextvars import ContextVar

# Set by a middleware for each request; empty outside of requests.
caller_base_url: ContextVar[str] = ContextVar("caller_base_url", default="")
