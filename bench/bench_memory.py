"""Measure the memory of an executor: idle, and over two thousand jobs.

    python bench/bench_memory.py [--quick]

Prints a table and writes results/memory.json, in MB of resident memory.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from prompts import sleeping
from report import arguments, write
from rich.console import Console
from rich.table import Table
from stack import Stack, comfyui

if TYPE_CHECKING:
    from local.child_process import Child

JOBS, AT_A_TIME = 2000, 100
IDLE_SECONDS = 25  # long enough for all periodic work: heartbeats, long polls
TARGET_MB = 120


def resident_mb(process: Child) -> float:
    """Return the resident memory of a process in MB (Linux)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    if found is None:
        raise LookupError(process.name)
    return round(int(found[1]) / 1024, 1)


def main() -> None:
    """Measure, print and write the results."""
    given = arguments().parse_args()
    jobs, idle_seconds = (2 * AT_A_TIME, 5) if given.quick else (JOBS, IDLE_SECONDS)
    seen: dict[str, float] = {}
    with Stack() as stack, comfyui(real=False) as comfyui_url, stack.executor(comfyui_url) as executor:
        time.sleep(idle_seconds)
        seen["idle"] = resident_mb(executor)
        for done in range(AT_A_TIME, jobs + 1, AT_A_TIME):
            job_ids = [stack.accept(sleeping(0, output_mib=1)) for _ in range(AT_A_TIME)]
            stack.wait_for(job_ids)
            seen[f"after {done} jobs"] = resident_mb(executor)
            print(f"after {done} jobs: {resident_mb(executor)} MB", flush=True)
    table = Table("executor", "MB in RAM")
    for when, megabytes in seen.items():
        table.add_row(when, f"{megabytes:g}")
    Console(width=120).print(table)
    print(f"target: under {TARGET_MB} MB idle")
    write("memory", {"resident_mb": seen}, quick=given.quick)


if __name__ == "__main__":
    main()
