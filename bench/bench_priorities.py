"""Measure the order in which a backlog of all priorities runs.

    python bench/bench_priorities.py [--quick]

Prints a table and writes results/priorities.json. Thirty jobs of each priority, submitted alternately and lowest first,
are waiting when an executor starts. The order is that of ComfyUI's history.
"""

from __future__ import annotations

import statistics
from itertools import groupby

import requests
from prompts import sleeping
from report import arguments, write
from rich.console import Console
from rich.table import Table
from stack import Stack, comfyui

from gateway.domain.job import Priority, prompt_id

JOBS, JOB_SECONDS = 30, 0.2


def measure(jobs: int) -> list[Priority]:
    """Run a backlog and return its priorities in run order."""
    with Stack() as stack, comfyui(real=False) as comfyui_url:
        sent = {
            stack.accept(sleeping(JOB_SECONDS), priority=priority): priority
            for _ in range(jobs)
            for priority in reversed(tuple(Priority))
        }
        with stack.executor(comfyui_url):
            stack.wait_for(sent)
        priorities = {prompt_id(job_id, 1): priority for job_id, priority in sent.items()}
        return [priorities[run] for run in requests.get(f"{comfyui_url}/history", timeout=30).json()]


def main() -> None:
    """Measure, print and write the results."""
    given = arguments().parse_args()
    jobs = 5 if given.quick else JOBS
    order = measure(jobs)
    positions = {
        priority: [position for position, ran in enumerate(order, start=1) if ran is priority] for priority in Priority
    }
    table = Table("priority", "first ran as", "median", "last ran as")
    for priority, ran in positions.items():
        table.add_row(priority, str(ran[0]), f"{statistics.median(ran):g}", str(ran[-1]))
    Console(width=120).print(table)
    blocks = [[priority, len(list(jobs))] for priority, jobs in groupby(order)]
    print("as they ran: " + ", ".join(f"{count} {priority}" for priority, count in blocks))
    write("priorities", {"jobs": jobs, "as_they_ran": blocks}, quick=given.quick)


if __name__ == "__main__":
    main()
