"""Compare the results with their targets, and write the tables of docs/measurements.md.

    python bench/targets.py [--quick]

The results of a quick run are only printed.
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
BEGIN, END = "<!-- {name}: written by bench/targets.py -->\n", "<!-- end of {name} -->\n"
_SUBMITS = ("of a small workflow", "of a large one, as often as one likes")
_VERDICTS = {True: "met", False: "**missed**", None: ""}
Row = tuple[str, str, str, bool | None]  # what, target, measured, met; None where there is no target


def overhead(result: Result) -> Iterator[Row]:
    """Return the added time with one client and an almost empty job."""
    parts = result["overhead_ms"]
    own = parts["the embedded AWS's own"]
    measured = f"{parts['whole']:.0f} ms, of which {own:.0f} ms in the embedded AWS"
    yield "Added time per job with one client, median", "at most 150 ms", measured, parts["whole"] <= 150  # noqa: PLR2004


def overhead_on_a_real_one(result: Result) -> Iterator[Row]:
    """Return the same for a real ComfyUI."""
    for what, target, measured, met in overhead(result):
        yield f"{what}; a real ComfyUI", target, measured, met


def local_api(result: Result) -> Iterator[Row]:
    """Return the throughput as a share of what is possible."""
    for request in dict.fromkeys(row["request"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["request"] == request]
        share, boto3 = (min(row[name]["median"] for row in rows) for name in ("share", "share_of_boto3"))
        what = f"Requests per second of local mode, `{request}`, as a share of the embedded AWS's limit"
        yield what, "at least 70 %", f"{share:.0%}; {boto3:.0%} of the limit of boto3", share >= 0.7  # noqa: PLR2004


def latency(result: Result) -> Iterator[Row]:
    """Return the time from POST to the start of the run."""
    median = result["before_the_run"]["normal"]["median_ms"]
    what, limit_ms = "From POST to the start of the run, without other load, median", 120
    yield what, f"under {limit_ms} ms", f"{median:.0f} ms", median < limit_ms


def gpu_idle(result: Result) -> Iterator[Row]:
    """Return the idle time for jobs of 500 ms and 5 MiB."""
    shares = _idle_shares(result)
    measured = f"{shares['gateway']:.2%}; {shares['plain loop']:.0%} with a plain loop"
    yield "GPU idle time under backlog, jobs of 500 ms with 5 MiB", "under 1 %", measured, shares["gateway"] < 0.01  # noqa: PLR2004


def gpu_idle_of_a_real_one(result: Result) -> Iterator[Row]:
    """Compare with the idle time of a real ComfyUI alone, which collects garbage between prompts."""
    shares = _idle_shares(result)
    measured = f"{shares['gateway']:.2%}, ComfyUI alone {shares['ComfyUI alone']:.2%}"
    more = shares["gateway"] - shares["ComfyUI alone"]
    yield "The same with a real ComfyUI", "under 1 % more than ComfyUI alone", measured, more < 0.01  # noqa: PLR2004


def _idle_shares(result: Result) -> dict[str, float]:
    return {row["way"]: row["share"] for row in result["rows"] if (row["job_seconds"], row["output_mib"]) == (0.5, 5)}


def memory(result: Result) -> Iterator[Row]:
    """Return the memory, which must not grow after the first hundred jobs."""
    idle, early, *_, late = result["resident_mb"].values()
    idle_limit = 120
    yield "Memory of an executor, idle", f"under {idle_limit} MB", f"{idle:.0f} MB", idle < idle_limit
    measured = f"{late / early - 1:+.0%}, to {late:.0f} MB {list(result['resident_mb'])[-1]}"
    yield "Growth of that memory after 100 jobs", "within 20 %", measured, late < 1.2 * early


def growth(result: Result) -> Iterator[Row]:
    """Compare the AWS usage of requests with 1,000 jobs and with the largest table."""
    few, many = result["jobs"]["1000"]["requests"], list(result["jobs"].values())[-1]["requests"]
    # A list with a filter reads more, until it has found enough or has reached its read limit.
    names = [name for name in few if not name.startswith(("status ", "rare "))]
    most = max(many[name][unit] / few[name][unit] - 1 for name in names for unit in ("units", "bytes_received"))
    size = f"{int(list(result['jobs'])[-1]):,}"
    what = f"Growth of units and bytes per request, except filtered lists, from 1,000 to {size} jobs"
    yield what, "within 20 %", f"{most:+.0%} at most", most <= 0.2  # noqa: PLR2004
    first, after = (result["large_workflows"]["submits"][name] for name in _SUBMITS)
    measured = f"{first['ms']:.0f} ms; {after['ms']:.0f} ms for one of the large ones"
    yield "Submission of a small workflow next to 100 workflows of 1 MB", "", measured, None


def cold_start(result: Result) -> Iterator[Row]:
    """Return the slowest function that a request calls."""
    slowest = max(result["functions"].items(), key=lambda each: each[1]["cpu_ms"])
    measured = f"{slowest[1]['cpu_ms']:.0f} ms, `{slowest[0]}`"
    what = "Load time of the slowest function with its clients, CPU time, best of nine rounds"
    yield what, "under 500 ms", measured, slowest[1]["cpu_ms"] < 500  # noqa: PLR2004


def cost(result: Result) -> Iterator[Row]:
    """Return calls to AWS and dollars."""
    calls = {part: len(made) for part, made in result["calls"].items()}
    job = calls["POST /jobs"] + calls["executor"]
    hooked = job + calls["webhook"]
    yield "Calls to AWS per job, without lease renewals", "at most 11", str(job), job <= 11  # noqa: PLR2004
    yield "The same with a webhook", "at most 14", f"{hooked}, plus 3 SQS requests by AWS itself", hooked <= 14  # noqa: PLR2004
    for name, most in (("from submission to stored output", 16), ("with one read of the status and one webhook", 26)):
        dollars = result["totals"][name]
        second = result["totals"]["each second that a run takes"]
        measured = f"${dollars:.2f}, plus ${second:.2f} per second of a run"
        yield f"A million jobs, {name}, without run time", f"under ${most}", measured, dollars < most


def soak(result: Result) -> Iterator[Row]:
    """Return the broken invariants."""
    faults = sum(result["faults"].values())
    measured = f"{len(result['broken'])} in {result['minutes']:g} minutes: {result['jobs']:,} jobs, {faults} faults"
    whole = result["minutes"] >= 10 and result["jobs"] and faults  # noqa: PLR2004
    yield "Broken invariants in ten minutes of fault injection", "none", measured, bool(whole and not result["broken"])


TARGETS: Mapping[str, Callable[[Result], Iterator[Row]]] = {
    "overhead_simulator": overhead,
    "overhead_comfyui": overhead_on_a_real_one,
    "latency": latency,
    "gpu_idle_simulator": gpu_idle,
    "gpu_idle_comfyui": gpu_idle_of_a_real_one,
    "local_api": local_api,
    "growth": growth,
    "memory": memory,
    "cold_start": cold_start,
    "cost": cost,
    "soak": soak,
}


def target_table(results: Path) -> str:
    """Return the Markdown table of all results that exist, with their targets."""
    lines = ["| Measurement | Target | Measured | |", "| --- | --- | --- | --- |"]
    for name, rows_of in TARGETS.items():
        file = results / f"{name}.json"
        if file.exists():
            rows = rows_of(json.loads(file.read_text()))
            lines += [f"| {what} | {to} | {was} | {_VERDICTS[met]} |" for what, to, was, met in rows]
    return "\n".join(lines) + "\n"


def growth_table(results: Path) -> str:
    """Return the Markdown table of the AWS usage of requests, by the number of jobs in the table."""
    by_size = json.loads((results / "growth.json").read_text())["jobs"]
    sizes = [size for size in by_size if int(size) >= 1000]  # noqa: PLR2004  with fewer jobs, no page is full
    titles = [f"{int(size):,} jobs" for size in sizes]
    lines = [f"| Request | {' | '.join(titles)} |", f"| --- |{' --- |' * len(sizes)}"]
    for name in by_size[sizes[0]]["requests"]:
        cells = []
        for size in sizes:
            request = by_size[size]["requests"][name]
            cells.append(
                f"{sum(request['calls'].values())}, {request['units']:g}, {request['bytes_received'] / 1000:.1f}"
            )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def page_with(tables: Mapping[str, str]) -> str:
    """Return the page with these tables, by the names in its markers."""
    page = PAGE.read_text(encoding="utf-8")
    for name, table in tables.items():
        begin, end = BEGIN.format(name=name), END.format(name=name)
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    return page


def tables_of(results: Path) -> dict[str, str]:
    """Return all tables of the page, by name."""
    return {"targets": target_table(results), "growth": growth_table(results)}


if __name__ == "__main__":
    if arguments().parse_args().quick:
        print(target_table(QUICK_RESULTS))
    else:
        print(target_table(RESULTS))
        PAGE.write_text(page_with(tables_of(RESULTS)), encoding="utf-8")
