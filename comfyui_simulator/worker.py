"""The one thread that receives prompts from the queue and runs them."""

from __future__ import annotations

import logging
import random
import threading
from typing import TYPE_CHECKING

from comfyui_simulator.errors import WorkerStoppedError

if TYPE_CHECKING:
    from comfyui_simulator.executor import PromptExecutor
    from comfyui_simulator.faults import Faults
    from comfyui_simulator.nodes.node_run import Machine
    from comfyui_simulator.prompt_queue import PromptQueue
    from comfyui_simulator.socket_hub import SocketHub
    from comfyui_simulator.types import QueueItem

_IDLE_POLL_SECONDS = 1.0

logger = logging.getLogger(__name__)


class PromptWorker:
    """Runs prompts until it is stopped or a node kills its thread."""

    def __init__(
        self, machine: Machine, queue: PromptQueue, executor: PromptExecutor, hub: SocketHub, faults: Faults
    ) -> None:
        self._machine = machine
        self._queue = queue
        self._executor = executor
        self._hub = hub
        self._faults = faults
        self._stopping = threading.Event()
        self._free_models = False
        self._free_memory = False
        self._thread = threading.Thread(target=self._run, name="comfyui-simulator-worker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread at once, even in the middle of a prompt."""
        self._stopping.set()
        self._executor.stop()
        self._queue.wake()
        self._thread.join()

    def free(self, *, models: bool, memory: bool) -> None:
        """Unload the models, or also clear all results, as soon as no prompt is running."""
        self._free_models = self._free_models or models or memory
        self._free_memory = self._free_memory or memory
        self._queue.wake()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._run_next()
        except (Exception, SystemExit, KeyboardInterrupt, WorkerStoppedError):
            # What a node raises as a BaseException kills the thread, and so does an error outside of nodes, such as a
            # node without `inputs` that no output needs (measured). The prompt stays running and the others wait for
            # ever, while HTTP works (recorded: worker thread dies).
            logger.debug("the worker thread dies", exc_info=True)

    def _run_next(self) -> None:
        taken = self._queue.get(_IDLE_POLL_SECONDS)
        if taken is not None:
            self._run_prompt(*taken)
        # Afterwards, as on the real server: a prompt that follows a /free immediately may run before it.
        self._free()

    def _run_prompt(self, task: int, item: QueueItem) -> None:
        if self._faults.take_lost_prompt():
            self._queue.lose(task)
            return
        entry = self._executor.execute(item)
        # The history lags behind execution_success; clients that read it at once find nothing.
        lag = random.uniform(*self._machine.settings.history_lag_seconds)  # noqa: S311  a delay, no secret
        if lag > 0:
            self._stopping.wait(lag)
        self._queue.finish(task, entry)
        client_id = self._hub.running_client_id
        if client_id is not None:
            self._hub.send_json("executing", {"node": None, "prompt_id": item[1]}, client_id)

    def _free(self) -> None:
        if self._free_models:
            self._machine.gpu.unload()
        if self._free_memory:
            self._machine.gpu.release()
            self._executor.free_memory()
        self._free_models = self._free_memory = False
