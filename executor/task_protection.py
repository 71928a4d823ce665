"""Keeps ECS from ending this executor's task to scale in, while it has jobs.

    idle ──job──► protected for an hour ──half an hour──► for another hour … ──last job ends──► idle

Asked for by a thread of its own, a moment after the job came: no job waits for it. A task that is ended in that moment
drains, as always. Outside of ECS nothing is asked.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import requests

from executor.log import logger

if TYPE_CHECKING:
    from executor.slots import Slots

_LOOK_SECONDS = 1.0
_PROTECTED_MINUTES = 60  # then it ends by itself, should this process hang
_RENEW_SECONDS = _PROTECTED_MINUTES * 60 / 2
_RETRY_SECONDS = 10.0
_TIMEOUT_SECONDS = 5.0


class TaskProtection:
    """Follows whether there are jobs. `agent_url`: the container's ECS_AGENT_URI; None outside of ECS."""

    def __init__(self, agent_url: str | None, places: Slots) -> None:
        self._url = f"{agent_url}/task-protection/v1/state" if agent_url else None
        self._places = places
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="task-protection", daemon=True)

    def start(self) -> None:
        """Follow in the background."""
        if self._url is not None:
            self._thread.start()

    def stop(self) -> None:
        """Stop following; what was granted last stands until it ends by itself."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        protected, ask_again_at = False, 0.0
        while not self._stopping.wait(_LOOK_SECONDS):
            busy = self._places.jobs > 0
            due = time.monotonic() >= ask_again_at
            if busy == protected and not (busy and due):
                continue
            if self._granted(protect=busy):
                protected, ask_again_at = busy, time.monotonic() + _RENEW_SECONDS
            else:
                logger.warning("task protection not changed", action="task_protection_failed", protect=busy)
                self._stopping.wait(_RETRY_SECONDS)

    def _granted(self, *, protect: bool) -> bool:
        wish = {"ProtectionEnabled": protect, **({"ExpiresInMinutes": _PROTECTED_MINUTES} if protect else {})}
        try:
            answer = requests.put(str(self._url), json=wish, timeout=_TIMEOUT_SECONDS)
            return answer.ok and "protection" in answer.json()  # else it says `failure` or `error`
        except (requests.RequestException, ValueError):
            return False
