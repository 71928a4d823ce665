"""Report which models this executor's ComfyUI has, whenever they change."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from executor.log import logger
from gateway.domain.model_files import listed
from gateway.errors import ComfyUIUnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.comfyui.client import ComfyUIClient
    from gateway.domain.model_files import ModelFolder
    from gateway.ports import Clock, ExecutorStore

_POLL_SECONDS = 60.0
_RETRY_SECONDS = 5.0
_RETENTION = timedelta(days=1)
# Well before the last report expires.
_REWRITE_SECONDS = _RETENTION.total_seconds() / 2


class ModelReporter:
    """Polls ComfyUI's model lists every minute, from `start` until `stop`."""

    def __init__(self, executor_id: str, comfyui: ComfyUIClient, executors: ExecutorStore, clock: Clock) -> None:
        self._executor_id = executor_id
        self._comfyui = comfyui
        self._executors = executors
        self._clock = clock
        self._written: Mapping[str, ModelFolder] | None = None
        self._rewrite_at = 0.0
        self._stopping = threading.Event()

    def start(self) -> None:
        """Poll in the background."""
        threading.Thread(target=self._run, name="models", daemon=True).start()

    def stop(self) -> None:
        """Stop polling."""
        self._stopping.set()

    def _run(self) -> None:
        delay_seconds = 0.0
        while not self._stopping.wait(delay_seconds):
            delay_seconds = _POLL_SECONDS if self._report() else _RETRY_SECONDS

    def _report(self) -> bool:
        """Write the models if they changed; return False when this must be retried."""
        try:
            folders = listed(self._comfyui.models())
            if folders != self._written or self._clock.monotonic() > self._rewrite_at:
                expires_at = self._clock.now() + _RETENTION
                self._executors.put_models(self._executor_id, folders, expires_at=expires_at)
                self._written = folders
                self._rewrite_at = self._clock.monotonic() + _REWRITE_SECONDS
        except ComfyUIUnreachableError:
            return False
        except Exception as error:  # noqa: BLE001  any error of AWS: the next report may get through
            logger.warning("models not written", action="models_not_written", reason=type(error).__name__)
            return False
        return True
