"""Says every few seconds how this executor and its ComfyUI are, and lets the worker know.

A job that is taken while ComfyUI or AWS is away goes back, and comes back a few times only: so none is taken then.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from executor.log import logger
from gateway.__about__ import VERSION
from gateway.domain.executor import HEARTBEAT_SECONDS, Heartbeat
from gateway.errors import ComfyUIUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from executor.comfyui.client import ComfyUI, ComfyUIState
    from executor.comfyui.monitor import PromptMonitor
    from executor.slots import Slots
    from gateway.ports import ExecutorStore, JobQueue

_LOOK_SECONDS = 2.0
_KEPT = timedelta(days=1)
_LATEST_WEIGHT = 0.2  # of the newest run in the mean


class Reporter:
    """Looks at ComfyUI every two seconds and reports every ten, and whenever its state changes."""

    def __init__(  # noqa: PLR0913  all but the first are named
        self,
        executor_id: str,
        *,
        comfyui: ComfyUI,
        overseer: PromptMonitor,
        places: Slots,
        executors: ExecutorStore,
        queue: JobQueue,
        now: Callable[[], datetime],
    ) -> None:
        self._executor_id = executor_id
        self._comfyui = comfyui
        self._overseer = overseer
        self._places = places
        self._executors = executors
        self._queue = queue
        self._now = now
        self._mean_run_ms: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._report_until_stopped, name="reporter", daemon=True)
        self._comfyui_well = False
        self._reported = False

    @property
    def ready(self) -> bool:
        """Whether a job can be done now: ComfyUI works, and the tables and queues could be reached just now."""
        return self._comfyui_well and self._reported and not self._overseer.stuck

    def start(self) -> None:
        """Report in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reporting; the last report grows old by itself."""
        self._stopping.set()
        self._thread.join()

    def ran(self, milliseconds: int) -> None:
        """Take note of how long a run took."""
        before = milliseconds if self._mean_run_ms is None else self._mean_run_ms
        self._mean_run_ms = before + _LATEST_WEIGHT * (milliseconds - before)

    def _report_until_stopped(self) -> None:
        looks_left = 0
        was_well = None
        while not self._stopping.is_set():
            state = self._look()
            if looks_left <= 0 or self._comfyui_well != was_well or not self._reported:
                if self._comfyui_well != was_well:
                    logger.info("ComfyUI seen", action="comfyui_seen", well=self._comfyui_well)
                self._reported = self._report(state)
                looks_left = int(HEARTBEAT_SECONDS / _LOOK_SECONDS)
            was_well = self._comfyui_well
            looks_left -= 1
            self._stopping.wait(_LOOK_SECONDS)

    def _look(self) -> ComfyUIState | None:
        try:
            state = self._comfyui.state()
            self._overseer.look_after_left()
        except ComfyUIUnreachableError:
            self._comfyui_well = False
            return None
        self._comfyui_well = not self._overseer.stuck
        return state

    def _report(self, state: ComfyUIState | None) -> bool:
        try:
            now = self._now()
            report = Heartbeat(
                id=self._executor_id,
                version=VERSION,
                last_seen_at=now,
                jobs=self._places.jobs,
                current_job_id=self._places.current_job_id,
                waiting=self._queue.waiting(),
                mean_run_ms=None if self._mean_run_ms is None else round(self._mean_run_ms),
                comfyui_url=self._comfyui.url,
                comfyui_reachable=self._comfyui_well,
                comfyui_version=state.version if state else None,
                device=state.device if state else None,
            )
            self._executors.put_heartbeat(report, expires_at=now + _KEPT)
        except Exception as error:  # noqa: BLE001  the next report may get through
            logger.warning("report not written", action="report_not_written", reason=type(error).__name__)
            return False
        return True
