"""Call a function on a schedule, as an EventBridge rule with a rate does."""

from __future__ import annotations

import logging
import threading
import uuid
from typing import TYPE_CHECKING

from gateway.clock import SYSTEM_CLOCK
from gateway.domain import timestamps

if TYPE_CHECKING:
    from local.event_sources.function import LocalFunction

logger = logging.getLogger(__name__)


class ScheduleSource:
    """Calls a function at an interval until `stopping` is set; the first time after one interval."""

    def __init__(self, function: LocalFunction, every_seconds: float, stopping: threading.Event) -> None:
        self._function = function
        self._every_seconds = every_seconds
        self._stopping = stopping

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name=f"schedule-{self._function.name}", daemon=True).start()

    def _run(self) -> None:
        while not self._stopping.wait(self._every_seconds):
            event = {
                "version": "0",
                "id": str(uuid.uuid4()),
                "detail-type": "Scheduled Event",
                "source": "aws.events",
                "time": timestamps.to_text(SYSTEM_CLOCK.now()),
                "resources": [],
                "detail": {},
            }
            try:
                self._function.invoke(event)
            except Exception:
                logger.exception("function failed: %s", self._function.name)
