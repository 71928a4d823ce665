"""Prompts that went on while nobody could ask for them, as their ComfyUI did not answer.

left behind ──ComfyUI answers again──► an attempt of the job takes it up again: no longer abandoned
└──► nobody does: it is taken off, as the job went on elsewhere, or has ended
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.comfyui.client import ComfyUI, QueueState

# From when ComfyUI answers again. Until then the job's message is back, and this executor receives again.
_TAKE_UP_SECONDS = 15.0


class AbandonedPrompts:
    """Those of one ComfyUI; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._take_off_at: dict[str, float | None] = {}  # None: ComfyUI has not answered since

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._take_off_at)

    def leave(self, prompt_id: str) -> None:
        """Note a prompt that nobody waits for any more."""
        with self._lock:
            self._take_off_at[prompt_id] = None

    def take_up(self, prompt_id: str) -> None:
        """Note that somebody waits for it again."""
        with self._lock:
            self._take_off_at.pop(prompt_id, None)

    def take_off(self, comfyui: ComfyUI, queue: QueueState) -> None:
        """Take off ComfyUI what has had its time; call this now and then. Raises ComfyUIUnreachableError."""
        for prompt_id in self._due(queue):
            comfyui.remove(prompt_id)

    def _due(self, queue: QueueState) -> list[str]:
        now = time.monotonic()
        due = []
        with self._lock:
            for prompt_id, take_off_at in tuple(self._take_off_at.items()):
                if prompt_id not in queue:
                    del self._take_off_at[prompt_id]
                elif take_off_at is None:
                    self._take_off_at[prompt_id] = now + _TAKE_UP_SECONDS
                elif now > take_off_at:
                    due.append(prompt_id)
        return due
