"""How long ComfyUI waits between two prompts while there is a backlog.

    python bench/bench_gpu_idle.py [--real] [--quick]

prints a table and writes results/gpu_idle_simulator.json or, with --real, results/gpu_idle_comfyui.json. Waiting is
what ComfyUI's own history says: from one prompt's execution_success to the next one's execution_start, as a share of
the time that prompts ran. Three ways are compared, on the same processes:

- gateway: jobs in SQS, one executor
- plain loop: submit, listen to the WebSocket until the end, download, upload to S3, next
- ComfyUI alone: all prompts in its own queue at once; nobody can do better. A real one collects garbage every ten
  seconds, which takes a quarter of a second on a CPU, and files each prompt in its history before it begins the next
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import uuid
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
import websocket
from rich.console import Console
from rich.table import Table
from stack import Stack, comfyui, forget_runs, runs, sleeping, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Seconds on the GPU, and how many such jobs.
JOBS = {0.1: 40, 0.5: 40, 5.0: 6}
SIZES_MIB = (1, 5, 20)
TARGET_SHARE, TARGET_SECONDS, TARGET_MIB = 0.01, 0.5, 5


class Measurement:
    """One way to run jobs on one stack."""

    def __init__(self, stack: Stack, comfyui_url: str) -> None:
        self.stack = stack
        self.comfyui_url = comfyui_url

    def gateway(self, prompts: Sequence[dict[str, Any]]) -> None:
        """Let an executor work through a backlog."""
        job_ids = [self.stack.accept(prompt) for prompt in prompts]
        with self.stack.executor(self.comfyui_url):
            self.stack.wait_for(job_ids)

    def plain_loop(self, prompts: Sequence[dict[str, Any]]) -> None:
        """Do one job after the other."""
        client_id = uuid.uuid4().hex
        address = self.comfyui_url.replace("http", "ws", 1) + f"/ws?clientId={client_id}"
        connection = websocket.create_connection(address, timeout=60)
        with requests.Session() as session:
            for prompt in prompts:
                body = {"prompt": prompt, "client_id": client_id}
                prompt_id = session.post(f"{self.comfyui_url}/prompt", json=body, timeout=60).json()["prompt_id"]
                _listen_until_end(connection, prompt_id)
                entry = session.get(f"{self.comfyui_url}/history/{prompt_id}", timeout=60).json()[prompt_id]
                for file in entry["outputs"].get("5", {}).get("latents", []):
                    content = session.get(f"{self.comfyui_url}/view", params=file, timeout=60).content
                    self.stack.clients.s3.put_object(
                        Bucket=self.stack.environment["BUCKET_NAME"], Key=f"plain/{prompt_id}", Body=content
                    )
        connection.close()

    def comfyui_alone(self, prompts: Sequence[dict[str, Any]]) -> None:
        """Give ComfyUI all there is."""
        for prompt in prompts:
            requests.post(f"{self.comfyui_url}/prompt", json={"prompt": prompt}, timeout=60).raise_for_status()
        wait_until(lambda: len(runs(self.comfyui_url)) == len(prompts), "the end of all prompts", 120)

    def waiting(self, way: Callable[[Sequence[dict[str, Any]]], None], seconds: float, mib: int) -> dict[str, Any]:
        """Run jobs one way and say how long ComfyUI waited."""
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


def _listen_until_end(connection: websocket.WebSocket, prompt_id: str) -> None:
    while True:
        said = connection.recv()
        if isinstance(said, str):
            message = json.loads(said)
            data = message.get("data", {})
            if message["type"] == "executing" and data.get("node") is None and data.get("prompt_id") == prompt_id:
                return


def measure(*, real: bool, sizes: Sequence[int], lengths: Sequence[float]) -> list[dict[str, Any]]:
    """Measure every combination."""
    rows = []
    with comfyui(real=real) as comfyui_url:
        for seconds, mib in product(lengths, sizes):
            with Stack() as stack:
                measurement = Measurement(stack, comfyui_url)
                ways = {
                    "gateway": measurement.gateway,
                    "plain loop": measurement.plain_loop,
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
    """Measure, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--real", action="store_true", help="on a real ComfyUI, on the CPU")
    parser.add_argument("--quick", action="store_true", help="only what the target is for")
    given = parser.parse_args()
    sizes, lengths = ((TARGET_MIB,), (TARGET_SECONDS,)) if given.quick else (SIZES_MIB, tuple(JOBS))
    rows = measure(real=given.real, sizes=sizes, lengths=lengths)
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
    if not given.quick:
        name = "gpu_idle_comfyui.json" if given.real else "gpu_idle_simulator.json"
        machine = {"cores": os.cpu_count(), "python": platform.python_version()}
        target = Path(__file__).with_name("results") / name
        target.write_text(json.dumps({"machine": machine, "jobs": JOBS, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
