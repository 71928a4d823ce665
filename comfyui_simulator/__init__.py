"""A ComfyUI stand-in: the server that clients cannot tell from the real one, without a GPU or models."""

from comfyui_simulator.faults import Faults, RequestFault
from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings

__all__ = ["Faults", "RequestFault", "SimulatorServer", "SimulatorSettings"]
