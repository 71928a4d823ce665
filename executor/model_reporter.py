"""Tells the table which models the ComfyUI beside this executor has: when they change, not at every look."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from executor.log import logger
from gateway.domain import timestamps
from gateway.domain.model_files import listed
from gateway.errors import ComfyUIUnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.comfyui.client import ComfyUI
    from gateway.domain.model_files import ModelFolder
    from gateway.ports import ExecutorStore

_LOOK_SECONDS = 60.0
_AFTER_ERROR_SECONDS = 5.0
_KEPT = timedelta(days=1)
# Long before it would be forgotten.
_WRITE_AGAIN_SECONDS = _KEPT.total_seconds() / 2


class ModelWatch:
    """Looks every minute, from `start` to the end of the process."""

    def __init__(self, executor_id: str, comfyui: ComfyUI, executors: ExecutorStore) -> None:
        self._executor_id = executor_id
        self._comfyui = comfyui
        self._executors = executors
        self._written: Mapping[str, ModelFolder] | None = None
        self._write_again_at = 0.0
        self._stopping = threading.Event()

    def start(self) -> None:
        """PromptProgress in the background."""
        threading.Thread(target=self._watch_until_stopped, name="models", daemon=True).start()

    def stop(self) -> None:
        """PromptProgress no longer."""
        self._stopping.set()

    def _watch_until_stopped(self) -> None:
        pause_seconds = 0.0
        while not self._stopping.wait(pause_seconds):
            pause_seconds = _LOOK_SECONDS if self._look() else _AFTER_ERROR_SECONDS

    def _look(self) -> bool:
        try:
            folders = listed(self._comfyui.models())
            if folders != self._written or time.monotonic() > self._write_again_at:
                self._executors.put_models(self._executor_id, folders, expires_at=timestamps.now() + _KEPT)
                self._written = folders
                self._write_again_at = time.monotonic() + _WRITE_AGAIN_SECONDS
        except ComfyUIUnreachableError:
            return False
        except Exception as error:  # noqa: BLE001  whatever AWS throws: the next look may get through
            logger.warning("models not written", action="models_not_written", reason=type(error).__name__)
            return False
        return True
