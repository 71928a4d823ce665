"""The parts of one running server, wired together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfyui_simulator.executor import PromptExecutor
from comfyui_simulator.file_store import FileStore
from comfyui_simulator.gpu import Gpu
from comfyui_simulator.nodes.node_run import Machine
from comfyui_simulator.object_info import ObjectInfo
from comfyui_simulator.prompt_queue import PromptQueue
from comfyui_simulator.socket_hub import SocketHub
from comfyui_simulator.worker import PromptWorker

if TYPE_CHECKING:
    from pathlib import Path

    from comfyui_simulator.faults import Faults
    from comfyui_simulator.settings import SimulatorSettings


class Parts:
    """The state of one server from its start to its end; make it in the server's event loop."""

    def __init__(self, settings: SimulatorSettings, faults: Faults, data_dir: Path) -> None:
        self.settings = settings
        self.faults = faults
        self.files = FileStore(data_dir)
        self.object_info = ObjectInfo(settings.checkpoints, self.files.input_files)
        self.gpu = Gpu(settings.vram_total_mb)
        self.hub = SocketHub(faults, self.queue_remaining)
        self.queue = PromptQueue(settings.max_history, self.hub.send_status)
        machine = Machine(settings, self.files, self.gpu)
        self.executor = PromptExecutor(machine, self.object_info, self.hub, faults)
        self.worker = PromptWorker(machine, self.queue, self.executor, self.hub, faults)
        self.next_number = 0

    def queue_remaining(self) -> int:
        """Return the number of waiting and running prompts."""
        return self.queue.remaining()
