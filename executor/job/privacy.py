"""What a private job leaves on ComfyUI's host, as far as the executor can do something about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor.log import logger
from gateway.domain.job import prompt_id
from gateway.errors import ComfyUIUnreachableError

if TYPE_CHECKING:
    from executor.comfyui.client import ComfyUI
    from gateway.domain.job import Job


class HistoryScrubber:
    """Looks after the traces of private jobs on one ComfyUI. Best effort: no job waits for it, or fails by it."""

    def __init__(self, comfyui: ComfyUI) -> None:
        self._comfyui = comfyui
        self._warned = False

    def warn(self) -> None:
        """Tell once when ComfyUI writes prompts into what it saves: only of PNG files are they taken out later."""
        try:
            if self._warned or not self._comfyui.writes_metadata():
                return
        except ComfyUIUnreachableError:
            return
        self._warned = True
        logger.warning(
            "ComfyUI writes prompts into the files it saves: for private jobs start it with --disable-metadata",
            action="metadata_written",
        )

    def remove(self, job: Job) -> None:
        """Have ComfyUI forget all attempts of an ended job: its history shows prompts to whoever asks."""
        try:
            for attempt in range(1, job.attempt + 1):
                self._comfyui.forget(prompt_id(job.id, attempt))
        except ComfyUIUnreachableError as error:
            logger.warning("prompt stays in ComfyUI's history", action="prompt_not_forgotten", reason=error.message)
