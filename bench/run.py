"""Run all measurements, draw the charts, and compare the results with the targets: `make bench`.

    PYTHONPATH=. python bench/run.py [--quick] [--real]

Prints every table. Results go to bench/results, charts to docs/measurements; those of a quick run to build/bench.
A failed measurement does not stop the others; the exit code is 1 then.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from report import ROOT, arguments

HERE = Path(__file__).parent
MEASUREMENTS = (
    ["bench_overhead.py"],
    ["bench_local_api.py"],
    ["bench_latency.py"],
    ["bench_handlers.py"],
    ["bench_gpu_idle.py"],
    ["bench_priorities.py"],
    ["bench_memory.py"],
    ["bench_growth.py"],
    ["bench_cold_start.py"],
    ["bench_cost.py"],
    ["bench_soak.py"],
)
REAL = (["bench_overhead.py", "--real"], ["bench_gpu_idle.py", "--real", "--target"])
_DRAWING = Path(sys.prefix, "bench", "bin", "python")  # with matplotlib


def main() -> None:
    """Run everything."""
    parser = arguments()
    parser.add_argument("--real", action="store_true", help="measure a real ComfyUI as well; downloads 2 GB once")
    given = parser.parse_args()
    quick = ["--quick"] if given.quick else []
    scripts = [*MEASUREMENTS, *(REAL if given.real else ())]
    commands = [[sys.executable, str(HERE / script), *options, *quick] for script, *options in scripts]
    commands.append([str(_DRAWING), str(HERE / "charts.py"), *quick])
    commands.append([sys.executable, str(HERE / "targets.py"), *quick])
    failed = []
    for command in commands:
        name = " ".join([Path(command[1]).name, *command[2:]])
        print(f"\n── {name}", flush=True)
        started = time.monotonic()
        if _run(command):
            failed.append(name)
        print(f"   {time.monotonic() - started:.0f} s", flush=True)
    if failed:
        sys.exit("failed; figures above may be of an earlier run: " + ", ".join(failed))


def _run(command: list[str]) -> int:
    """Run a script until it exits, also after Ctrl-C: it receives the signal itself and stops its processes."""
    with subprocess.Popen(command, cwd=ROOT) as process:  # noqa: S603  our own files
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait()
            sys.exit("interrupted")


if __name__ == "__main__":
    main()
