"""Holds the results against what they are meant to be, and writes that into docs/measurements.md.

    python bench/targets.py [--quick]

A quick run's results are only printed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from report import QUICK_RESULTS, RESULTS, ROOT, arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Result = Mapping[str, Any]

PAGE = ROOT / "docs" / "measurements.md"
BEGIN, END = "<!-- written by bench/targets.py -->\n", "<!-- until here -->\n"
_SUBMITS = ("of a small workflow", "of a large one, as often as one likes")
_VERDICTS = {True: "met", False: "**missed**", None: ""}
Row = tuple[str, str, str, bool | None]  # what, target, measured, met; None where there is no target


def overhead(result: Result) -> Iterator[Row]:
    """One client, no-op job."""
    parts = result["overhead_ms"]
    own = parts["the embedded AWS's own"]
    measured = f"{parts['whole']:.0f} ms, of which {own:.0f} ms are the embedded AWS's own"
    yield "Added to a job at one client, median", "at most 150 ms", measured, parts["whole"] <= 150  # noqa: PLR2004


def overhead_on_a_real_one(result: Result) -> Iterator[Row]:
    """Say the same of a real ComfyUI."""
    for what, target, measured, met in overhead(result):
        yield f"{what}; a real ComfyUI", target, measured, met


def front(result: Result) -> Iterator[Row]:
    """Shares of what is possible."""
    for request in dict.fromkeys(row["request"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["request"] == request]
        share, boto3 = (min(row[name]["median"] for row in rows) for name in ("share", "share_of_boto3"))
        what = f"Local front, `{request}`, of what the embedded AWS allows"
        yield what, "at least 70 %", f"{share:.0%}; {boto3:.0%} of what boto3 allows", share >= 0.7  # noqa: PLR2004


def latency(result: Result) -> Iterator[Row]:
    """From POST to the beginning of the run."""
    median = result["before_the_run"]["normal"]["median_ms"]
    yield "From POST to the beginning of the run, idle, median", "under 120 ms", f"{median:.0f} ms", median < 120  # noqa: PLR2004


def gpu_idle(result: Result) -> Iterator[Row]:
    """Jobs of 500 ms, 5 MiB."""
    shares = _idle_shares(result)
    measured = f"{shares['gateway']:.2%}; {shares['plain loop']:.0%} with a plain loop"
    yield "GPU idle under backlog, jobs of 500 ms with 5 MiB", "under 1 %", measured, shares["gateway"] < 0.01  # noqa: PLR2004


def gpu_idle_of_a_real_one(result: Result) -> Iterator[Row]:
    """Hold it against what a real ComfyUI, which collects garbage between prompts, waits by itself."""
    shares = _idle_shares(result)
    measured = f"{shares['gateway']:.2%}, where ComfyUI alone waits {shares['ComfyUI alone']:.2%}"
    more = shares["gateway"] - shares["ComfyUI alone"]
    yield "The same with a real ComfyUI", "under 1 % more than alone", measured, more < 0.01  # noqa: PLR2004


def _idle_shares(result: Result) -> dict[str, float]:
    return {row["way"]: row["share"] for row in result["rows"] if (row["job_seconds"], row["output_mib"]) == (0.5, 5)}


def memory(result: Result) -> Iterator[Row]:
    """Flat after the first hundred."""
    idle, early, *_, late = result["resident_mb"].values()
    yield "Executor's memory, idle", "under 120 MB", f"{idle:.0f} MB", idle < 120  # noqa: PLR2004
    measured = f"{late / early - 1:+.0%}, to {late:.0f} MB {list(result['resident_mb'])[-1]}"
    yield "Executor's memory, from 100 jobs on", "within 20 %", measured, late < 1.2 * early


def growth(result: Result) -> Iterator[Row]:
    """Compare what is asked of AWS with 1,000 jobs and in the largest table."""
    few, many = result["jobs"]["1000"]["requests"], list(result["jobs"].values())[-1]["requests"]
    # A list with a filter looks through more, until it has found enough or has read as much as it may.
    names = [name for name in few if not name.startswith(("status ", "rare "))]
    most = max(many[name][unit] / few[name][unit] - 1 for name in names for unit in ("units", "bytes_received"))
    size = f"{int(list(result['jobs'])[-1]):,}"
    what = f"Units and bytes of a request that is no filtered list, from 1,000 to {size} jobs"
    yield what, "within 20 %", f"{most:+.0%} at most", most <= 0.2  # noqa: PLR2004
    first, after = (result["large_workflows"]["submits"][name] for name in _SUBMITS)
    measured = f"{first['ms']:.0f} ms; {after['ms']:.0f} ms of one of these"
    yield "Submitting a small workflow beside 100 of 1 MB", "", measured, None


def cold_start(result: Result) -> Iterator[Row]:
    """Slowest function that a request calls."""
    slowest = max(result["functions"].items(), key=lambda each: each[1]["cpu_ms"])
    measured = f"{slowest[1]['cpu_ms']:.0f} ms, `{slowest[0]}`"
    what = "Loading a function and its clients, CPU time of the best of nine rounds, the slowest function"
    yield what, "under 500 ms", measured, slowest[1]["cpu_ms"] < 500  # noqa: PLR2004


def cost(result: Result) -> Iterator[Row]:
    """Count calls and dollars."""
    calls = {part: len(made) for part, made in result["calls"].items()}
    job = calls["POST /jobs"] + calls["executor"]
    hooked = job + calls["webhook"]
    yield "Calls to AWS for a job, beside the renewals of its lease", "at most 11", str(job), job <= 11  # noqa: PLR2004
    yield "The same with a webhook", "at most 14", f"{hooked}, and 3 of SQS that AWS makes itself", hooked <= 14  # noqa: PLR2004
    for name, most in (("from submission to stored output", 16), ("with one read of the status and one webhook", 26)):
        dollars = result["totals"][name]
        second = result["totals"]["each second that a run takes"]
        measured = f"${dollars:.2f}, and ${second:.2f} for each second of a run"
        yield f"A million jobs, {name}; their runs take no time", f"under ${most}", measured, dollars < most


def soak(result: Result) -> Iterator[Row]:
    """Invariants."""
    faults = sum(result["faults"].values())
    measured = f"{len(result['broken'])} in {result['minutes']:g} minutes: {result['jobs']:,} jobs, {faults} faults"
    whole = result["minutes"] >= 10 and result["jobs"] and faults  # noqa: PLR2004
    yield "Soak of ten minutes: broken invariants", "none", measured, bool(whole and not result["broken"])


HELD: Mapping[str, Callable[[Result], Iterator[Row]]] = {
    "overhead_simulator": overhead,
    "overhead_comfyui": overhead_on_a_real_one,
    "latency": latency,
    "gpu_idle_simulator": gpu_idle,
    "gpu_idle_comfyui": gpu_idle_of_a_real_one,
    "front": front,
    "growth": growth,
    "memory": memory,
    "cold_start": cold_start,
    "cost": cost,
    "soak": soak,
}


def table(results: Path) -> str:
    """Write the table, in Markdown, of all results that are there."""
    lines = ["| what | target | measured | |", "| --- | --- | --- | --- |"]
    for name, rows_of in HELD.items():
        file = results / f"{name}.json"
        if file.exists():
            rows = rows_of(json.loads(file.read_text()))
            lines += [f"| {what} | {to} | {was} | {_VERDICTS[met]} |" for what, to, was, met in rows]
    return "\n".join(lines) + "\n"


def page_with(figures: str) -> str:
    """Put a table into the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{figures}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    if arguments().parse_args().quick:
        print(table(QUICK_RESULTS))
    else:
        print(table(RESULTS))
        PAGE.write_text(page_with(table(RESULTS)), encoding="utf-8")
