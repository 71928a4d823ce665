"""Send this executor's heartbeat, and track whether ComfyUI and AWS are available.

The worker receives jobs only while both are, and while no job waits for a store of files. A job that is received during
an outage goes back to its queue, and its message can be received only a limited number of times.
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
    from executor.comfyui.client import ComfyUIClient, SystemStats
    from executor.comfyui.monitor import PromptMonitor
    from executor.slots import Slots
    from executor.store_availability import StoreAvailability
    from gateway.ports import Clock, ExecutorStore, JobQueue

_POLL_SECONDS = 2.0
_STOP_SECONDS = 2.0
_RETENTION = timedelta(days=1)
_LATEST_WEIGHT = 0.2  # of the latest run in the moving average


class HeartbeatSender:
    """Polls ComfyUI every two seconds. Sends a heartbeat every ten, and when ComfyUI's availability changes."""

    def __init__(  # noqa: PLR0913  all but the first are named
        self,
        executor_id: str,
        *,
        comfyui: ComfyUIClient,
        monitor: PromptMonitor,
        slots: Slots,
        stores: StoreAvailability,
        executors: ExecutorStore,
        queue: JobQueue,
        clock: Clock,
    ) -> None:
        self._executor_id = executor_id
        self._comfyui = comfyui
        self._monitor = monitor
        self._slots = slots
        self._stores = stores
        self._executors = executors
        self._queue = queue
        self._clock = clock
        self._mean_run_ms: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._comfyui_available = False
        self._sent = False

    @property
    def ready(self) -> bool:
        """Whether a job can run now.

        ComfyUI and the stores of files are available, and the last heartbeat reached the table and the queues.
        """
        return self._comfyui_available and self._sent and not self._monitor.stuck and self._stores.available

    def start(self) -> None:
        """Send heartbeats in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; the last heartbeat becomes stale by itself."""
        self._stopping.set()
        self._thread.join(_STOP_SECONDS)  # a call that hangs must not delay the end of the process

    def record_run(self, execution_ms: int) -> None:
        """Add an execution time to the moving average."""
        mean_ms = execution_ms if self._mean_run_ms is None else self._mean_run_ms
        self._mean_run_ms = mean_ms + _LATEST_WEIGHT * (execution_ms - mean_ms)

    def _run(self) -> None:
        polls_until_due = 0
        was_available = None
        while not self._stopping.is_set():
            stats = self._poll_comfyui()
            changed = self._comfyui_available != was_available
            if changed:
                logger.info(
                    "comfyui availability changed",
                    action="comfyui_availability_changed",
                    available=self._comfyui_available,
                )
            if polls_until_due <= 0 or changed or not self._sent:
                self._sent = self._send(stats)
                polls_until_due = int(HEARTBEAT_SECONDS / _POLL_SECONDS)
            was_available = self._comfyui_available
            polls_until_due -= 1
            self._stopping.wait(_POLL_SECONDS)

    def _poll_comfyui(self) -> SystemStats | None:
        try:
            stats = self._comfyui.system_stats()
            self._monitor.clean_up()
        except ComfyUIUnreachableError:
            self._comfyui_available = False
            return None
        self._comfyui_available = not self._monitor.stuck
        return stats

    def _send(self, stats: SystemStats | None) -> bool:
        """Send a heartbeat; return whether it got through."""
        try:
            now = self._clock.now()
            heartbeat = Heartbeat(
                id=self._executor_id,
                version=VERSION,
                last_seen_at=now,
                jobs=self._slots.job_count,
                current_job_id=self._slots.current_job_id,
                waiting=self._queue.waiting(),
                mean_run_ms=None if self._mean_run_ms is None else round(self._mean_run_ms),
                comfyui_url=self._comfyui.url,
                comfyui_reachable=self._comfyui_available,
                comfyui_version=stats.version if stats else None,
                device=stats.device if stats else None,
            )
            self._executors.put_heartbeat(heartbeat, expires_at=now + _RETENTION)
        except Exception as error:  # noqa: BLE001  any error of AWS: the next heartbeat may get through
            logger.warning("heartbeat failed", action="heartbeat_failed", reason=type(error).__name__)
            return False
        return True
