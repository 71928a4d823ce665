"""The worker's loop: take a message when all is well and ComfyUI has a place for its job; run each job in a thread.

A place is free again as soon as ComfyUI is done with a job, while its outputs are still on their way: under backlog the
GPU waits for nobody.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from executor.log import logger

if TYPE_CHECKING:
    from executor.heartbeat import Reporter
    from executor.job.runner import Runner
    from executor.liveness import LivenessFile
    from executor.receiver import JobReceiver
    from executor.slots import Slot, Slots
    from gateway.ports import ReceivedJob

_LOOK_SECONDS = 0.25
# An interrupt takes effect at the next step; what takes longer comes back when its lease runs out.
_GIVE_BACK_SECONDS = 10.0


class Worker:
    """Runs until `stop` is called."""

    def __init__(  # noqa: PLR0913  the parts that it holds together
        self,
        *,
        intake: JobReceiver,
        runner: Runner,
        reporter: Reporter,
        places: Slots,
        pulse: LivenessFile,
        stopping: threading.Event,
    ) -> None:
        self._intake = intake
        self._runner = runner
        self._reporter = reporter
        self._places = places
        self._pulse = pulse
        self._stop_requested = threading.Event()
        self._stopping = stopping
        self._running: set[threading.Thread] = set()

    def stop(self) -> None:
        """Ask the loop to end; safe in a signal handler."""
        self._stop_requested.set()

    def run(self, grace_seconds: float) -> None:
        """Work until `stop`; then let running jobs finish for so long, and give the rest back."""
        while not self._stop_requested.is_set():
            self._pulse.beat()
            ready = self._reporter.ready
            received = self._intake.next(
                self._places.open_to() if ready else (), idle=ready and self._places.idle, seconds=_LOOK_SECONDS
            )
            if received is not None:
                self._start(received)
        self._drain(grace_seconds)

    def _start(self, received: ReceivedJob) -> None:
        place = self._places.take(received.message.job_id, received.message.priority)
        thread = threading.Thread(
            target=self._run_one, args=(received, place), name=f"job-{received.message.job_id}", daemon=True
        )
        self._running.add(thread)
        thread.start()

    def _run_one(self, received: ReceivedJob, place: Slot) -> None:
        def free_place() -> None:
            self._places.free(place)
            self._intake.wake()

        try:
            self._runner.run(received, free_place)
        finally:
            self._running.discard(threading.current_thread())
            self._places.leave(place)
            self._intake.wake()

    def _drain(self, grace_seconds: float) -> None:
        logger.info("stopping", action="executor_stopping", jobs_running=len(self._running))
        deadline = time.monotonic() + grace_seconds
        self._intake.close(grace_seconds)
        self._join(deadline)
        self._stopping.set()
        self._runner.stop_running()
        self._join(time.monotonic() + _GIVE_BACK_SECONDS)

    def _join(self, deadline: float) -> None:
        for thread in tuple(self._running):
            while thread.is_alive() and time.monotonic() < deadline:
                self._pulse.beat()
                thread.join(_LOOK_SECONDS)
