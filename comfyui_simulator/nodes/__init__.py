"""The node classes that the simulator can run, one module per family."""

from __future__ import annotations

from comfyui_simulator.nodes import filters, images, lab, masks, media, sampling, saving
from comfyui_simulator.nodes.node_run import IMPLEMENTATIONS

__all__ = ["IMPLEMENTATIONS", "filters", "images", "lab", "masks", "media", "sampling", "saving"]
