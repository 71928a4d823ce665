"""A simulated ComfyUI server: the same API and events as the real one, without a GPU or models."""

from comfyui_simulator.faults import Faults, RequestFault
from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings

__all__ = ["Faults", "RequestFault", "SimulatorServer", "SimulatorSettings"]
