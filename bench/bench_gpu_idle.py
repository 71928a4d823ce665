"""Measure how long ComfyUI is idle between two prompts while there is a backlog.

    python bench/bench_gpu_idle.py [--real] [--target] [--quick]

Prints a table and writes results/gpu_idle_simulator.json or, with --real, results/gpu_idle_comfyui.json. Idle time is
taken from ComfyUI's history: from execution_success of one prompt to execution_start of the next, as a share of the
run time. Four ways are compared on the same processes:

- gateway: jobs in SQS, one executor
- plain loop: submit, listen to the WebSocket until the end, download, upload to S3, next
- proxy: submit all jobs to the Comfy API v2 proxy, which adds them to ComfyUI's in-memory queue; then continue as in
  the plain loop
- ComfyUI alone: all prompts in its own queue at once, the optimum. A real one collects garbage every ten seconds, which
  takes a quarter of a second on a CPU, and adds each prompt to its history before it starts the next
"""

from __future__ import annotations

import os
import statistics
import uuid
from contextlib import closing
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import requests
from prompts import sleeping
from report import arguments, write
from rich.console import Console
from rich.table import Table
from stack import Stack, comfyui, forget_runs, proxy, runs, wait_until
from ways import Direct, Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Seconds on the GPU, and number of such jobs.
JOBS = {0.1: 40, 0.5: 40, 5.0: 6}
SIZES_MIB = (1, 5, 20)
TARGET_SHARE, TARGET_SECONDS, TARGET_MIB = 0.01, 0.5, 5


class IdleMeasurement:
    """One way to run jobs on one stack."""

    def __init__(self, stack: Stack, comfyui_url: str, proxy_url: str | None) -> None:
        self.stack = stack
        self.comfyui_url = comfyui_url
        self.proxy_url = proxy_url

    def gateway(self, prompts: Sequence[dict[str, Any]]) -> None:
        """Run a backlog through an executor."""
        job_ids = [self.stack.accept(prompt) for prompt in prompts]
        with self.stack.executor(self.comfyui_url):
            self.stack.wait_for(job_ids)

    def plain_loop(self, prompts: Sequence[dict[str, Any]]) -> None:
        """Do one job after the other."""
        with closing(Direct(self.comfyui_url)) as client:
            for prompt in prompts:
                for file in client.run(prompt).get("5", {}).get("latents", []):
                    self._upload(client.read(file))

    def proxy(self, prompts: Sequence[dict[str, Any]]) -> None:
        """Submit all jobs, then download and upload their outputs one by one."""
        with closing(Proxy(self.proxy_url or "")) as client:
            for job_id in [client.submit(prompt) for prompt in prompts]:
                for output in client.outputs(job_id):
                    if output["type"] == "latent":
                        self._upload(client.read(output["id"]))

    def comfyui_alone(self, prompts: Sequence[dict[str, Any]]) -> None:
        """Submit all prompts to ComfyUI at once."""
        for prompt in prompts:
            requests.post(f"{self.comfyui_url}/prompt", json={"prompt": prompt}, timeout=60).raise_for_status()
        wait_until(lambda: len(runs(self.comfyui_url)) == len(prompts), "the end of all prompts", 120)

    def _upload(self, content: bytes) -> None:
        bucket = self.stack.environment["BUCKET_NAME"]
        self.stack.clients.s3.put_object(Bucket=bucket, Key=f"plain/{uuid.uuid4()}", Body=content)

    def waiting(self, way: Callable[[Sequence[dict[str, Any]]], None], seconds: float, mib: int) -> dict[str, Any]:
        """Run jobs one way and return the idle times of ComfyUI."""
        count = JOBS[seconds]
        forget_runs(self.comfyui_url)
        way([sleeping(seconds, output_mib=mib) for _ in range(count)])
        seen = runs(self.comfyui_url)
        if len(seen) != count:
            raise RuntimeError(f"{len(seen)} prompts ran instead of {count}")
        gaps = [start - end for (_, end), (start, _) in pairwise(seen)]
        ran = sum(end - start for start, end in seen[:-1])
        return {
            "share": round(sum(gaps) / ran, 5),
            "median_ms": statistics.median(gaps),
            "max_ms": max(gaps),
            "median_run_ms": statistics.median(end - start for start, end in seen),
        }


def measure(*, real: bool, sizes: Sequence[int], lengths: Sequence[float]) -> list[dict[str, Any]]:
    """Measure every combination."""
    rows = []
    with comfyui(real=real) as comfyui_url, proxy(comfyui_url) as proxy_url:
        for seconds, mib in product(lengths, sizes):
            with Stack() as stack:
                measurement = IdleMeasurement(stack, comfyui_url, proxy_url)
                ways = {
                    "gateway": measurement.gateway,
                    "plain loop": measurement.plain_loop,
                    **({"proxy": measurement.proxy} if proxy_url else {}),
                    "ComfyUI alone": measurement.comfyui_alone,
                }
                measured = [
                    {
                        "job_seconds": seconds,
                        "output_mib": mib,
                        "way": name,
                        **measurement.waiting(way, seconds, mib),
                        "load": round(os.getloadavg()[0], 2),
                    }
                    for name, way in ways.items()
                ]
            for row in measured:
                row["share_beyond_comfyui_alone"] = round(row["share"] - measured[-1]["share"], 5)
            rows += measured
    return rows


def main() -> None:
    """Measure, print and write the results."""
    parser = arguments()
    parser.add_argument("--real", action="store_true", help="on a real ComfyUI, on the CPU")
    parser.add_argument("--target", action="store_true", help="only the combination of the target")
    given = parser.parse_args()
    only_target = given.quick or given.target
    rows = measure(
        real=given.real,
        sizes=[TARGET_MIB] if only_target else SIZES_MIB,
        lengths=[TARGET_SECONDS] if only_target else tuple(JOBS),
    )
    table = Table("job", "output", "way", "waits", "beyond alone", "median ms", "longest ms", "run ms", "load")
    for row in rows:
        table.add_row(
            f"{row['job_seconds']:g} s",
            f"{row['output_mib']} MiB",
            row["way"],
            f"{row['share']:.2%}",
            f"{row['share_beyond_comfyui_alone']:.2%}",
            *(f"{row[name]:g}" for name in ("median_ms", "max_ms", "median_run_ms", "load")),
        )
    Console(width=120).print(table)
    print(f"target: under {TARGET_SHARE:.0%} at {TARGET_SECONDS:g} s with {TARGET_MIB} MiB")
    name = "gpu_idle_comfyui" if given.real else "gpu_idle_simulator"
    write(name, {"jobs": JOBS, "rows": rows}, quick=given.quick)


if __name__ == "__main__":
    main()
