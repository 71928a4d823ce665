"""The worker's loop: take a message when ComfyUI is well and has a place free, high priority first.

A place is a prompt on ComfyUI, running or waiting in its queue. It is free again as soon as ComfyUI
is done, while outputs are still on their way: under backlog the GPU waits for nobody.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from executor.log import logger

if TYPE_CHECKING:
    from executor.intake import Intake
    from executor.reporter import Reporter
    from executor.runner import Runner
    from gateway.ports import ReceivedJob

_LOOK_SECONDS = 0.25
# An interrupt takes effect at the next step; what takes longer comes back when its lease runs out.
_GIVE_BACK_SECONDS = 10.0
_FINISHING_JOBS = 4


class Worker:
    """Runs until `stop` is called. `places`: prompts on ComfyUI at the same time."""

    def __init__(
        self, intake: Intake, runner: Runner, reporter: Reporter, places: int, stopping: threading.Event
    ) -> None:
        self._intake = intake
        self._runner = runner
        self._reporter = reporter
        self._places = threading.Semaphore(places)
        # Finishing jobs hold no place, but memory and connections: their number is bounded as well.
        self._jobs = threading.Semaphore(places + _FINISHING_JOBS)
        self._stop_requested = threading.Event()
        self._stopping = stopping
        self._running: set[threading.Thread] = set()

    def stop(self) -> None:
        """Ask the loop to end; safe in a signal handler."""
        self._stop_requested.set()

    def run(self, grace_seconds: float) -> None:
        """Work until `stop`; then let running jobs finish for so long, and give the rest back."""
        while not self._stop_requested.is_set():
            if not self._reporter.comfyui_well:
                self._intake.pause()
                self._stop_requested.wait(_LOOK_SECONDS)
            elif self._take_place():
                received = self._intake.next(_LOOK_SECONDS)
                if received is None:
                    self._jobs.release()
                    self._places.release()
                else:
                    self._start(received)
        self._drain(grace_seconds)

    def _take_place(self) -> bool:
        if not self._jobs.acquire(timeout=_LOOK_SECONDS):
            return False
        if self._places.acquire(timeout=_LOOK_SECONDS):
            return True
        self._jobs.release()
        return False

    def _start(self, received: ReceivedJob) -> None:
        thread = threading.Thread(
            target=self._run_one, args=(received,), name=f"job-{received.message.job_id}", daemon=True
        )
        self._running.add(thread)
        self._reporter.jobs = len(self._running)
        thread.start()

    def _run_one(self, received: ReceivedJob) -> None:
        freed = threading.Event()

        def free_place() -> None:
            if not freed.is_set():
                freed.set()
                self._places.release()

        try:
            self._runner.run(received, free_place)
        finally:
            self._running.discard(threading.current_thread())
            self._reporter.jobs = len(self._running)
            self._jobs.release()

    def _drain(self, grace_seconds: float) -> None:
        logger.info("stopping", action="executor_stopping", jobs_running=len(self._running))
        self._intake.pause()
        self._join(time.monotonic() + grace_seconds)
        self._stopping.set()
        self._runner.stop_running()
        self._join(time.monotonic() + _GIVE_BACK_SECONDS)

    def _join(self, deadline: float) -> None:
        for thread in tuple(self._running):
            thread.join(max(0.0, deadline - time.monotonic()))
