"""Settings of the simulator that are fixed at its start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class SimulatorSettings:
    """How the simulated server behaves; every default gives a fast, healthy server.

    Faults are injected while it runs: see `faults.Faults`.
    """

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: int = 0
    """TCP port to listen on; 0 selects a free one."""

    data_dir: Path | None = None
    """Directory for input, output and temp files; None: a temporary one, deleted at the end."""

    checkpoints: tuple[str, ...] = ("sd_xl_base_1.0.safetensors", "sd_xl_refiner_1.0.safetensors", "v1-5.safetensors")
    """File names of the checkpoints that the server lists."""

    seconds_per_step: float = 0.02
    """Duration of one sampling step, in seconds."""

    model_load_seconds: float = 0.0
    """Duration of loading a checkpoint, in seconds. It stays loaded until /free or an out-of-memory error."""

    history_lag_seconds: tuple[float, float] = (0.0, 0.005)
    """Shortest and longest time, in seconds, from `execution_success` until the prompt is in the history.

    Recorded on a real server: up to 8 ms when idle, up to 391 ms under load.
    """

    vram_total_mb: int = 24_576
    """Memory of the simulated GPU, in MB; /system_stats reports it and larger prompts run out of it (see `gpu.Gpu`)."""

    max_history: int = 10_000
    """Number of finished prompts that the history keeps; the oldest are removed first."""

    disable_metadata: bool = False
    """Whether saved files do not contain the prompt."""

    newer_api: bool = False
    """Whether to enable the endpoints of newer servers: /api/jobs and the atomic cancel."""

    control_api: bool = False
    """Whether to enable POST /simulator/faults, for tests that run the simulator as a separate process."""
