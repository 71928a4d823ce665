"""Measure what each function loads before its first response, and how long that takes.

    python bench/bench_cold_start.py [--quick]  prints a table and writes results/cold_start.json
    python bench/bench_cold_start.py jobs       loads one function in this process, and prints the result as JSON

The archive sizes by package come from `make synth`.

Milliseconds are CPU time on this machine above the bare interpreter, of the best round. Lambda's are different, but
proportional. `tests/infra/cold_start_budget.json` limits modules and bytes, which are the same on every machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from importlib import import_module
from pathlib import Path

from import_times import LOADING, shares_by_package

from functions.routing import module_of

ROUNDS = 9
TARGET_MS = 500
# The environment of the functions; no resource in it is used.
_ENVIRONMENT = {
    "TABLE_NAME": "t", "BUCKET_NAME": "b", "EVENT_BUS_NAME": "e",
    **{f"{name}_QUEUE_URL": "https://q" for name in ("HIGH", "NORMAL", "LOW", "WEBHOOK")},
    **{f"{name}_DEAD_LETTER_QUEUE_URL": "https://q" for name in ("HIGH", "NORMAL", "LOW")},
}  # fmt: skip


def load(function: str) -> dict[str, int | float]:
    """Import the module of a function and create its handler, in this process, which must be new."""
    os.environ["AWS_REGION"] = "us-east-1"
    print(LOADING, file=sys.stderr)
    before, started, started_us = set(sys.modules), time.process_time(), time.perf_counter_ns() // 1000
    _make_handler(function)
    cpu_ms = (time.process_time() - started) * 1000
    print(f"{LOADING} took {time.perf_counter_ns() // 1000 - started_us}", file=sys.stderr)
    loaded = [sys.modules[name] for name in set(sys.modules) - before]
    files = {str(file) for each in loaded if (file := getattr(each, "__file__", None))}
    return {
        "modules": len(loaded),
        "kib": round(sum(Path(file).stat().st_size for file in files if Path(file).exists()) / 1024),
        "cpu_ms": round(cpu_ms, 1),
    }


def _make_handler(function: str) -> None:
    module = import_module(module_of(function))
    if "functions.wiring.api" in sys.modules:
        from gateway.settings import ApiSettings  # noqa: PLC0415  the measured function has it, or not

        wiring = getattr(module, "WorkflowWiring", None) or module.ApiWiring
        module.handler.make_handler(wiring(ApiSettings.from_environment(_ENVIRONMENT)))
    else:
        from functions.wiring.events import EventWiring  # noqa: PLC0415  as above
        from gateway.settings import BackgroundSettings  # noqa: PLC0415  as above

        module.handler.make_handler(EventWiring(BackgroundSettings.from_environment(_ENVIRONMENT)))


def load_in_new_process(function: str) -> dict[str, int | float]:
    """Load a function in its own process."""
    run = subprocess.run(  # noqa: S603  this very file
        [sys.executable, __file__, function], capture_output=True, text=True, check=True
    )
    return dict(json.loads(run.stdout))


def main() -> None:
    """Measure all, print, write."""
    from bundles import zipped_kb  # noqa: PLC0415  as above
    from report import ROOT, arguments, write  # noqa: PLC0415  as above
    from rich.console import Console  # noqa: PLC0415  none of a function's modules
    from rich.table import Table  # noqa: PLC0415  as above

    from functions.routing import API_FUNCTIONS  # noqa: PLC0415  as above, module_of
    from gateway.aws.resources import JOB_CHANGES, QUEUE_SOURCES, SCHEDULES  # noqa: PLC0415  as above

    given = arguments().parse_args()
    by_queue, by_clock = ({each.function.name for each in sources} for sources in (QUEUE_SOURCES, SCHEDULES))
    names = {*API_FUNCTIONS, JOB_CHANGES.function.name, *by_queue, *by_clock}
    archives = zipped_kb(ROOT / "build" / "cdk.out")
    measured = {}
    table = Table("function", "modules", "KiB of code", "CPU ms", "of that", "archive, KB", "of that")
    # In rounds, so that each function has a quiet moment: other load makes rounds slower, and none faster.
    rounds = [{name: load_in_new_process(name) for name in sorted(names)} for _ in range(1 if given.quick else ROUNDS)]
    for name in rounds[0]:
        packages, shares = archives.get(name, Counter()), shares_by_package(__file__, name)
        measured[name] = {
            **rounds[0][name],
            "cpu_ms": min(each[name]["cpu_ms"] for each in rounds),
            "share_of_time_by_package": shares,
            "zip_kb": packages.total(),
            "zip_kb_by_package": dict(packages.most_common()),
        }
        slowest = ", ".join(f"{share:.0%} {package}" for package, share in [*shares.items()][:5])
        largest = ", ".join(f"{size} {package}" for package, size in packages.most_common(4))
        loaded = (measured[name][key] for key in ("modules", "kib", "cpu_ms"))
        table.add_row(name, *map(str, loaded), slowest, str(packages.total()), largest)
    Console(width=150).print(table)
    print(f"target: under {TARGET_MS} ms for the slowest function of the API")
    write("cold_start", {"functions": measured}, quick=given.quick)


if __name__ == "__main__":
    if sys.argv[1:] and not sys.argv[1].startswith("-"):
        sys.stdout.write(json.dumps(load(sys.argv[1])) + "\n")
    else:
        main()
