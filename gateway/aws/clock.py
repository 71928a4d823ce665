"""The current time by AWS's clock, whatever the host's clock shows.

A lease expires at a time that one host writes and others compare with their current time: executors when they claim,
the API when it cancels. Clocks of hosts can differ by minutes; those of AWS do not. Every response of AWS has their
time, in whole seconds (the Date header, RFC 9110, 6.6.1).

    host (monotonic)   sent_at ────────────▶ received_at
    AWS                        answered_at

    date <= answered_at < date + 1 s, and answered_at = offset + something between sent_at and received_at, so
    date - received_at <= offset < date + 1 s - sent_at

Each response moves the offset only as far as these bounds require: a correct clock is never changed, and a wrong one is
correct to about a second after the first quick response. The offset is relative to the monotonic clock, so steps of the
host's clock change nothing.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from gateway.domain import timestamps

if TYPE_CHECKING:
    from botocore.client import BaseClient

_DATE_SECONDS = 1.0  # the resolution of the header


class AwsClock:
    """Returns AWS's time; the host's own until the first response. Thread-safe."""

    def __init__(self) -> None:
        # Concurrent threads can undo each other's step; the next response repeats it.
        self._offset = time.time() - time.monotonic()

    def follow(self, client: BaseClient) -> None:
        """Adjust to the responses that an AWS client receives."""
        events = client.meta.events
        events.register("before-call", self._sent)
        events.register("after-call", self._answered)

    def now(self) -> datetime:
        """Return the current time, to the millisecond."""
        return timestamps.whole_milliseconds(datetime.fromtimestamp(time.monotonic() + self._offset, UTC))

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def _sent(self, context: dict[str, Any], **_: object) -> None:
        # Of the first attempt, if there are several: the bound is wider then, and still correct.
        context["sent_at"] = time.monotonic()

    def _answered(self, parsed: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        received_at = time.monotonic()
        try:
            date = parsedate_to_datetime(parsed["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
        except (KeyError, ValueError):
            return  # a response without a date, from a proxy before AWS
        earliest, latest = date - received_at, date + _DATE_SECONDS - context["sent_at"]
        self._offset = min(max(self._offset, earliest), latest)
