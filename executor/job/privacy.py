"""Remove what a private job leaves on ComfyUI's host, as far as the executor can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor.log import logger
from gateway.domain.job import prompt_id
from gateway.errors import ComfyUIUnreachableError

if TYPE_CHECKING:
    from executor.comfyui.client import ComfyUIClient
    from gateway.domain.job import Job


class HistoryScrubber:
    """Deletes private jobs from one ComfyUI's history. Best effort: no job waits for it or fails because of it."""

    def __init__(self, comfyui: ComfyUIClient) -> None:
        self._comfyui = comfyui
        self._warned = False

    def warn_if_metadata_is_written(self) -> None:
        """Log once when ComfyUI writes prompts into the files it saves: the executor can strip PNG files only."""
        try:
            if self._warned or not self._comfyui.writes_metadata():
                return
        except ComfyUIUnreachableError:
            return
        self._warned = True
        logger.warning(
            "comfyui writes prompts into the files it saves: start it with --disable-metadata for private jobs",
            action="metadata_written",
        )

    def scrub(self, job: Job) -> None:
        """Delete all attempts of an ended job from ComfyUI's history, which shows prompts to anyone who can read it."""
        try:
            for attempt in range(1, job.attempt + 1):
                self._comfyui.delete_history(prompt_id(job.id, attempt))
        except ComfyUIUnreachableError as error:
            logger.warning("history entry not deleted", action="history_not_deleted", reason=error.message)
