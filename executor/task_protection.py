"""Protect this executor's ECS task from scale-in while it has jobs.

    idle ──job──▶ protected for an hour ──half an hour──▶ renewed for an hour … ──last job done──▶ idle

A background thread sets the protection shortly after a job was received, so that no job waits for it. A task that is
stopped in between drains as usual. Outside of ECS this does nothing.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import requests

from executor.log import logger

if TYPE_CHECKING:
    from executor.slots import Slots
    from gateway.ports import Clock

_POLL_SECONDS = 1.0
_PROTECTED_MINUTES = 60  # protection expires by itself if this process hangs
_RENEW_SECONDS = _PROTECTED_MINUTES * 60 / 2
_RETRY_SECONDS = 10.0
_TIMEOUT_SECONDS = 5.0


class TaskProtection:
    """Sets the protection according to the job count. `agent_url`: the container's ECS_AGENT_URI; None outside ECS."""

    def __init__(self, agent_url: str | None, slots: Slots, clock: Clock) -> None:
        self._url = f"{agent_url}/task-protection/v1/state" if agent_url else None
        self._slots = slots
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="task-protection", daemon=True)

    def start(self) -> None:
        """Follow the job count in the background."""
        if self._url is not None:
            self._thread.start()

    def stop(self) -> None:
        """Stop; a protection that is set expires by itself."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        protected, renew_at = False, 0.0
        while not self._stopping.wait(_POLL_SECONDS):
            has_jobs = self._slots.job_count > 0
            is_due = self._clock.monotonic() >= renew_at
            if has_jobs == protected and not (has_jobs and is_due):
                continue
            if self._set(protect=has_jobs):
                protected, renew_at = has_jobs, self._clock.monotonic() + _RENEW_SECONDS
            else:
                logger.warning("task protection not changed", action="task_protection_failed", protect=has_jobs)
                self._stopping.wait(_RETRY_SECONDS)

    def _set(self, *, protect: bool) -> bool:
        """Request the protection or its removal; return whether ECS granted it."""
        body = {"ProtectionEnabled": protect, **({"ExpiresInMinutes": _PROTECTED_MINUTES} if protect else {})}
        try:
            response = requests.put(str(self._url), json=body, timeout=_TIMEOUT_SECONDS)
            return response.ok and "protection" in response.json()  # else it has `failure` or `error`
        except (requests.RequestException, ValueError):
            return False
