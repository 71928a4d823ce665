"""The worker's loop: receive a message when ComfyUI has a free slot for its job, and run each job in a thread.

A slot is free again as soon as ComfyUI is done with a job, while its outputs are still being stored: under backlog the
GPU never waits for AWS.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from executor.log import logger

if TYPE_CHECKING:
    from executor.heartbeat import HeartbeatSender
    from executor.job.runner import JobRunner
    from executor.liveness import LivenessFile
    from executor.receiver import JobReceiver
    from executor.slots import Slot, Slots
    from gateway.ports import Clock, ReceivedJob

_LOOP_SECONDS = 0.25
# An interrupt takes effect at the next step. A job that is not released by then runs again after its lease expires.
_RELEASE_SECONDS = 10.0
_LAST_RECEIVE_SECONDS = 2.0


class Worker:
    """Runs jobs until `stop` is called."""

    def __init__(  # noqa: PLR0913  the parts that it connects
        self,
        *,
        receiver: JobReceiver,
        runner: JobRunner,
        heartbeat: HeartbeatSender,
        slots: Slots,
        liveness: LivenessFile,
        stopping: threading.Event,
        clock: Clock,
    ) -> None:
        self._receiver = receiver
        self._runner = runner
        self._heartbeat = heartbeat
        self._slots = slots
        self._liveness = liveness
        self._clock = clock
        self._stop_requested = threading.Event()
        self._stopping = stopping
        self._threads: set[threading.Thread] = set()

    def stop(self) -> None:
        """Request the loop to stop; safe in a signal handler."""
        self._stop_requested.set()

    def run(self, grace_seconds: float) -> None:
        """Work until `stop`; then give running jobs this long to finish, and release the others."""
        while not self._stop_requested.is_set():
            self._liveness.touch()
            ready = self._heartbeat.ready
            received = self._receiver.next(
                self._slots.open_priorities() if ready else (),
                idle=ready and self._slots.idle,
                seconds=_LOOP_SECONDS,
            )
            if received is not None:
                self._start(received)
        self._drain(grace_seconds)

    def _start(self, received: ReceivedJob) -> None:
        slot = self._slots.acquire(received.message.job_id, received.message.priority)
        thread = threading.Thread(
            target=self._run_job, args=(received, slot), name=f"job-{received.message.job_id}", daemon=True
        )
        self._threads.add(thread)
        thread.start()

    def _run_job(self, received: ReceivedJob, slot: Slot) -> None:
        def on_gpu_free() -> None:
            self._slots.start_finishing(slot)
            self._receiver.wake()

        try:
            self._runner.run(received, on_gpu_free)
        finally:
            self._threads.discard(threading.current_thread())
            self._slots.release(slot)
            self._receiver.wake()

    def _drain(self, grace_seconds: float) -> None:
        logger.info("executor stopping", action="executor_stopping", jobs_running=len(self._threads))
        deadline = self._clock.monotonic() + grace_seconds
        self._receiver.close(grace_seconds)
        self._join(deadline)
        self._stopping.set()
        self._runner.stop_all()
        self._join(self._clock.monotonic() + _RELEASE_SECONDS)
        self._runner.release_all()
        # A long poll of this executor may receive what was just released: it releases it again.
        self._receiver.close(_LAST_RECEIVE_SECONDS)

    def _join(self, deadline: float) -> None:
        for thread in tuple(self._threads):
            while thread.is_alive() and self._clock.monotonic() < deadline:
                self._liveness.touch()
                thread.join(_LOOP_SECONDS)
