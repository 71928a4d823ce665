"""What an executor says of itself every few seconds; the API answers health questions from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

REPORT_SECONDS = 10
# Three missed reports: the executor, or its way to AWS, is gone.
REPORT_FRESH = timedelta(seconds=3 * REPORT_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorReport:
    """The state of one executor and of the ComfyUI beside it."""

    id: str
    version: str  # of the gateway
    last_seen_at: datetime
    busy: bool
    comfyui_url: str
    comfyui_reachable: bool
    comfyui_version: str | None = None
    checkpoints: tuple[str, ...] = ()
