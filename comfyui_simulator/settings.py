"""The knobs of the simulator that are fixed at its start."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SimulatorSettings:
    """How the simulated server behaves; every default gives a fast, healthy server.

    What goes wrong while it runs is not set here: see `faults.Faults`.
    """

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: int = 0
    """TCP port to listen on; 0 takes any free one."""

    data_dir: Path | None = None
    """Where input, output and temp files live; None makes a directory that is deleted at the end."""

    checkpoints: tuple[str, ...] = ("sd_xl_base_1.0.safetensors", "sd_xl_refiner_1.0.safetensors", "v1-5.safetensors")
    """File names of the checkpoints that the server offers."""

    seconds_per_step: float = 0.02
    """How long one sampling step takes, in seconds."""

    model_load_seconds: float = 0.0
    """How long a checkpoint takes to load, in seconds: once each, until /free or an out-of-memory error unloads it."""

    history_lag_seconds: tuple[float, float] = (0.0, 0.005)
    """Shortest and longest time, in seconds, from `execution_success` until the job is in the history.

    Recorded on a real server: up to 8 ms when idle, up to 391 ms under load.
    """

    vram_total_mb: int = 24_576
    """Memory of the simulated GPU, in MB; /system_stats reports it and larger jobs run out of it (see `gpu.Gpu`)."""

    max_history: int = 10_000
    """How many finished jobs the history keeps; the oldest go first."""

    disable_metadata: bool = False
    """Whether saved files are left without the prompt that made them."""

    newer_api: bool = False
    """Whether the endpoints of newer servers exist: /api/jobs and the atomic cancel."""

    control_api: bool = False
    """Whether POST /simulator/faults exists, for tests that run the simulator as a separate process."""
