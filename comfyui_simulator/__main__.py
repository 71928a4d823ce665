"""Entry point of the simulator process: `python -m comfyui_simulator --port 8188`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path

from comfyui_simulator.faults import Faults
from comfyui_simulator.server import RunningServer
from comfyui_simulator.settings import SimulatorSettings


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; print one line when ready and return the exit status."""
    settings = _settings(arguments)
    with tempfile.TemporaryDirectory(prefix="comfyui-simulator-") as temporary:
        try:
            asyncio.run(_serve(settings, settings.data_dir or Path(temporary)))
        except OSError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


async def _serve(settings: SimulatorSettings, data_dir: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with RunningServer(settings, Faults(), data_dir) as server:
        sys.stdout.write(f"ComfyUI simulator at http://{settings.host}:{server.port}\n")
        sys.stdout.flush()
        await stop.wait()


def _settings(arguments: list[str] | None) -> SimulatorSettings:
    default = SimulatorSettings()
    parser = argparse.ArgumentParser(prog="python -m comfyui_simulator", description="Run a simulated ComfyUI server.")
    parser.add_argument("--host", default=default.host, help="address to listen on")
    parser.add_argument("--port", type=int, default=8188, help="port to listen on; 0 selects a free one")
    parser.add_argument("--data-dir", type=Path, help="directory for files; default: a temporary one, deleted on exit")
    parser.add_argument(
        "--checkpoint", action="append", metavar="NAME", help="file name of a checkpoint to list; repeatable"
    )
    parser.add_argument(
        "--seconds-per-step",
        type=float,
        default=default.seconds_per_step,
        metavar="S",
        help="duration of a sampling step",
    )
    parser.add_argument(
        "--model-load-seconds",
        type=float,
        default=default.model_load_seconds,
        metavar="S",
        help="duration of loading a checkpoint",
    )
    parser.add_argument(
        "--history-lag-seconds",
        type=float,
        nargs=2,
        default=default.history_lag_seconds,
        metavar=("MIN", "MAX"),
        help="delay from the end of a prompt until it is in the history",
    )
    parser.add_argument("--vram-mb", type=int, default=default.vram_total_mb, metavar="MB", help="memory of the GPU")
    parser.add_argument("--disable-metadata", action="store_true", help="do not embed the prompt in saved files")
    parser.add_argument("--newer-api", action="store_true", help="enable /api/jobs, as in newer servers")
    parser.add_argument("--control-api", action="store_true", help="enable /simulator/faults, which injects faults")
    given = parser.parse_args(arguments)
    lag_min, lag_max = given.history_lag_seconds
    return SimulatorSettings(
        host=given.host,
        port=given.port,
        data_dir=given.data_dir,
        checkpoints=tuple(given.checkpoint or default.checkpoints),
        seconds_per_step=given.seconds_per_step,
        model_load_seconds=given.model_load_seconds,
        history_lag_seconds=(lag_min, lag_max),
        vram_total_mb=given.vram_mb,
        disable_metadata=given.disable_metadata,
        newer_api=given.newer_api,
        control_api=given.control_api,
    )


if __name__ == "__main__":
    sys.exit(main())
