"""The present by AWS's clock, whatever the host's own clock says.

A lease is an instant that one host writes and others compare with their present: executors when they claim, the API
when it cancels. Clocks of hosts differ by minutes; those of AWS do not, and every answer of AWS says what they show,
in whole seconds (the Date header, RFC 9110, 6.6.1).

    host (monotonic)   sent_at ────────────▶ received_at
    AWS                        answered_at

    date <= answered_at < date + 1 s, and answered_at = offset + something between sent_at and received_at, so
    date - received_at <= offset < date + 1 s - sent_at

Each answer moves the offset only as far as these bounds ask for: a right clock is never touched, a wrong one is right
to about a second after the first quick answer. As the offset is to the monotonic clock, steps of the host's clock
change nothing.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from gateway.domain import timestamps

if TYPE_CHECKING:
    from botocore.client import BaseClient

_DATE_SECONDS = 1.0  # what the header is exact to


class AwsClock:
    """Tells the present; as good as the host's own clock until the first answer. Safe to use from several threads."""

    def __init__(self) -> None:
        # Threads that set it at the same time can undo one another's step; the next answer makes it again.
        self._offset = time.time() - time.monotonic()

    def follow(self, client: BaseClient) -> None:
        """Go by the answers that a client of AWS gets."""
        events = client.meta.events
        events.register("before-call", self._sent)
        events.register("after-call", self._answered)

    def now(self) -> datetime:
        """Return the present, to the millisecond."""
        return timestamps.whole_milliseconds(datetime.fromtimestamp(time.monotonic() + self._offset, UTC))

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def _sent(self, context: dict[str, Any], **_: object) -> None:
        # Of the first try, when there are several: the bound is the wider for it, and still right.
        context["sent_at"] = time.monotonic()

    def _answered(self, parsed: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        received_at = time.monotonic()
        try:
            date = parsedate_to_datetime(parsed["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
        except (KeyError, ValueError):
            return  # an answer without a date, from something between here and AWS
        earliest, latest = date - received_at, date + _DATE_SECONDS - context["sent_at"]
        self._offset = min(max(self._offset, earliest), latest)
