"""Draws the charts of docs/measurements.md from the results: run by bench/run.py in the environment that can draw.

    .venv/bench/bin/python bench/charts.py [--quick]

One file for each result that is there, into docs/measurements; of a quick run, into build/bench.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from report import QUICK_RESULTS, RESULTS, ROOT, arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Result = Mapping[str, Any]

CHARTS = ROOT / "docs" / "measurements"
OURS, OTHERS, BASE, FAINT = "#0b6e99", "#e08e45", "#8a8f98", "#c9d6df"
COLORS = {
    "gateway": OURS,
    "proxy": OTHERS,
    "plain loop": "#b5485d",
    "ComfyUI alone": BASE,
    "its calls alone": FAINT,
}
LABELS = {
    "gateway": "gateway, AWS embedded",
    "proxy": "Comfy API v2 proxy",
    "plain loop": "submit, wait, download, upload",
    "its calls alone": "of that, the embedded AWS's part",
}
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.axisbelow": True,
    "figure.titlesize": 13,
    "figure.titleweight": "bold",
    "legend.frameon": False,
    "svg.hashsalt": "charts",  # the same file for the same figures
}


def overhead(result: Result) -> Any:  # noqa: ANN401  a figure
    """Draw how long a job takes from submission to known outputs."""
    clients = sorted({row["clients"] for row in result["rows"]})
    ways = list(dict.fromkeys(row["way"] for row in result["rows"]))
    figure, panels = plt.subplots(1, len(clients), figsize=(10, 3.2), sharey=True)
    for panel, count in zip(panels, clients, strict=True):
        rows = [row for row in result["rows"] if row["clients"] == count]
        _bars_with_spread(panel, {row["way"]: (row["median_ms"], row["p95_ms"]) for row in rows})
        panel.set_title(f"{count} client{'s' if count > 1 else ''} at once")
    panels[0].set_yticks(range(len(ways)), [LABELS.get(way, way) for way in ways])
    panels[0].invert_yaxis()
    figure.supxlabel("milliseconds for a job: median, and (line) what one in twenty takes longer than", fontsize=10)
    figure.suptitle("From submitting a job that does next to nothing until its file is known")
    return figure


def _bars_with_spread(panel: Any, values: Mapping[str, tuple[float, float]]) -> None:  # noqa: ANN401  axes
    """Draw medians as bars, in order, and 95th percentiles as lines; write the median beside them."""
    for place, (name, (median, p95)) in enumerate(values.items()):
        panel.barh(place, median, 0.65, color=COLORS.get(name, OURS))
        panel.plot([median, p95], [place, place], color="black", linewidth=1)
        panel.text(p95, place, f"  {median:.0f} ms", va="center", fontsize=9)
    panel.set_xlim(0, 1.4 * max(p95 for _, p95 in values.values()))


def gpu_idle(result: Result) -> Any:  # noqa: ANN401  a figure
    """Draw how long ComfyUI waits between prompts while there is a backlog."""
    cases = list(dict.fromkeys((row["job_seconds"], row["output_mib"]) for row in result["rows"]))
    ways = list(dict.fromkeys(row["way"] for row in result["rows"]))
    figure, panel = plt.subplots(figsize=(10, 1.8 + 0.9 * len(cases)))
    height = 0.8 / len(ways)
    for number, way in enumerate(ways):
        shares = [row["share"] * 100 for row in result["rows"] if row["way"] == way]
        places = [place + number * height for place in range(len(cases))]
        bars = panel.barh(places, shares, height, label=LABELS.get(way, way), color=COLORS[way])
        panel.bar_label(bars, [f"{share:.2f} %" for share in shares], padding=3, fontsize=8)
    names = [f"{seconds:g} s, {mib} MiB" for seconds, mib in cases]
    panel.set_yticks([place + 0.4 - height / 2 for place in range(len(cases))], names)
    panel.invert_yaxis()
    panel.set_xscale("symlog", linthresh=1)
    panel.set_xlim(0, 1000)
    panel.set_xticks([0, 1, 10, 100], ["0 %", "1 %", "10 %", "100 %"])
    panel.axvline(1, color="black", linewidth=0.8, linestyle=":")
    panel.set_xlabel(
        "time between jobs, as a share of the time that they run (dotted: 1 %, the target for 0.5 s and 5 MiB)"
    )
    panel.set_ylabel("time and output of a job")
    panel.legend(loc="lower right", fontsize=8)
    figure.suptitle("How long the GPU waits while jobs are waiting")
    return figure


def latency(result: Result) -> Any:  # noqa: ANN401  a figure
    """Draw what comes before and after a job's run."""
    figure, (before, after) = plt.subplots(2, 1, figsize=(10, 4.6), height_ratios=[5, 3])
    parts = result["parts_median_ms"]
    left = 0.0
    for place, values in enumerate(parts.values()):
        before.barh(place, values["normal"], left=left, color=OURS)
        left += values["normal"]
        before.text(left, place, f"  {values['normal']:.0f} ms", va="center", fontsize=9)
    before.set_yticks(range(len(parts)), list(parts))
    before.set_xlim(0, 1.1 * left)
    before.set_title("Before the run, one after the other (medians)")
    ends = result["after_the_run"]
    _bars_with_spread(after, {name: (values["median_ms"], values["p95_ms"]) for name, values in ends.items()})
    after.set_yticks(range(len(ends)), list(ends))
    after.set_title("From the end of the run to (median; line: what one in twenty takes longer than)")
    after.set_xlabel("milliseconds")
    for panel in (before, after):
        panel.invert_yaxis()
    figure.suptitle("What a job takes beside its run when nothing else is going on")
    return figure


def front(result: Result) -> Any:  # noqa: ANN401  a figure
    """Draw how many requests the local front answers."""
    requests = list(dict.fromkeys(row["request"] for row in result["rows"]))
    figure, panels = plt.subplots(1, len(requests), figsize=(10, 3.6))
    for panel, request in zip(panels, requests, strict=True):
        rows = [row for row in result["rows"] if row["request"] == request]
        places = range(len(rows))
        for name, color, label in (
            ("its_calls_alone_per_second", FAINT, "its calls alone: what the embedded AWS allows"),
            ("its_calls_by_boto3_per_second", "#7fb3cc", "its calls by boto3: what the SDK allows"),
        ):
            panel.bar(places, [row[name] for row in rows], 0.7, color=color, label=label)
        bars = panel.bar(places, [row["per_second"] for row in rows], 0.4, color=OURS, label="the front")
        panel.bar_label(
            bars, [f"{row['per_second']:.0f}" for row in rows], fontsize=9, label_type="center", color="white"
        )
        panel.set_xticks(places, [str(row["clients"]) for row in rows])
        panel.set_xlabel("clients at once")
        panel.set_ylabel("a second")
        panel.set_title(request)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    figure.suptitle("Requests that the local front answers, and what its calls alone would allow")
    return figure


def growth(result: Result) -> Any:  # noqa: ANN401  a figure
    """Draw what requests ask of AWS as the table grows."""
    sizes = [size for size in result["jobs"] if int(size) >= 1000]  # noqa: PLR2004  in fewer, no page is full
    shown = {
        "submit: rate limit, cache lookup": OURS,
        "statistics": "#b5485d",
        "a job": BASE,
        "first page, user": OTHERS,
        "page in the middle, user": "#5a8f4e",
    }
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.8))
    measures: Mapping[str, Callable[[Result], float]] = {
        "calls to AWS": lambda request: sum(request["calls"].values()),
        "DynamoDB units": lambda request: request["units"],
        "bytes from AWS": lambda request: request["bytes_received"],
    }
    for panel, (title, measure) in zip(panels, measures.items(), strict=True):
        for name, color in shown.items():
            values = [measure(result["jobs"][size]["requests"][name]) for size in sizes]
            panel.plot([f"{int(size):,}" for size in sizes], values, marker="o", color=color, label=name)
        if title == "calls to AWS":
            panel.set_ylim(bottom=0, top=panel.get_ylim()[1] + 1)
        else:
            panel.set_yscale("log")
            panel.yaxis.set_minor_formatter("")
            panel.set_ylim(bottom=panel.get_ylim()[0] / 2, top=panel.get_ylim()[1] * 2)
        panel.yaxis.set_major_formatter("{x:,g}")
        panel.set_title(title)
        panel.set_xlabel("jobs in the table")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
    figure.suptitle("What a request asks of AWS as the table grows")
    return figure


def memory(result: Result) -> Any:  # noqa: ANN401  a figure
    """Draw an executor's memory."""
    seen = result["resident_mb"]
    jobs = [0 if when == "idle" else int(when.split()[1]) for when in seen]
    figure, panel = plt.subplots(figsize=(10, 2.8))
    panel.plot(jobs, list(seen.values()), marker="o", color=OURS)
    panel.set_ylim(0, 1.2 * max(seen.values()))
    panel.set_xlabel("jobs done, each with an output of 1 MiB")
    panel.set_ylabel("MB in RAM")
    figure.suptitle("An executor's memory")
    return figure


def cold_start(result: Result) -> Any:  # noqa: ANN401  a figure
    """Draw how large functions are, and how long they take to load."""
    functions = {name: each for name, each in result["functions"].items() if each["zip_kb"]}  # without the reference
    names = sorted(functions, key=lambda name: functions[name]["cpu_ms"])
    figure, (times, sizes) = plt.subplots(1, 2, figsize=(10, 4.6), sharey=True)
    milliseconds = {
        name: {package: share * each["cpu_ms"] for package, share in each["share_of_time_by_package"].items()}
        for name, each in functions.items()
    }
    megabytes = {
        name: {package: kb / 1000 for package, kb in each["zip_kb_by_package"].items()}
        for name, each in functions.items()
    }
    shades = dict(zip(_largest(milliseconds, 7) | _largest(megabytes, 4), mpl.colormaps["tab20"].colors, strict=False))
    for panel, parts in ((times, milliseconds), (sizes, megabytes)):
        left = dict.fromkeys(names, 0.0)
        for package, shade in [*shades.items(), ("all others", BASE)]:
            others = package not in shades
            widths = [
                sum(part for key, part in parts[name].items() if (key not in shades if others else key == package))
                for name in names
            ]
            panel.barh(names, widths, left=list(left.values()), color=shade, label=package)
            left = {name: left[name] + width for name, width in zip(names, widths, strict=True)}
        for name, whole in left.items():
            panel.text(whole, name, f" {whole:.0f}" if panel is times else f" {whole:.1f}", va="center", fontsize=8)
    times.axvline(500, color="black", linewidth=0.8, linestyle=":")
    times.set_xlabel("ms of CPU to load (dotted: 500, the target)")
    sizes.set_xlabel("MB of the archive")
    figure.legend(*sizes.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=6)
    figure.suptitle("What a function loads before its first answer")
    return figure


def _largest(parts: Mapping[str, Mapping[str, float]], count: int) -> dict[str, None]:
    """Name the packages that take most, of all functions together."""
    total: Counter[str] = Counter()
    for by_package in parts.values():
        total.update(by_package)
    return dict.fromkeys(package for package, _ in total.most_common(count))


def cost(result: Result) -> Any:  # noqa: ANN401  a figure
    """Draw what a million jobs cost."""
    parts = result["dollars_per_million_jobs"]
    units = sorted(
        {unit for bill in parts.values() for unit in bill},
        key=lambda unit: -sum(bill.get(unit, 0) for bill in parts.values()),
    )
    figure, panel = plt.subplots(figsize=(10, 3.6))
    left = dict.fromkeys(parts, 0.0)
    for unit, shade in zip(units, mpl.colormaps["tab20"].colors, strict=False):
        dollars = [bill.get(unit, 0.0) for bill in parts.values()]
        panel.barh(list(parts), dollars, left=list(left.values()), color=shade, label=unit)
        left = {part: left[part] + more for part, more in zip(parts, dollars, strict=True)}
    for place, dollars_of_part in enumerate(left.values()):
        panel.text(dollars_of_part + 0.1, place, f"${dollars_of_part:.2f}", va="center", fontsize=9)
    panel.invert_yaxis()
    panel.set_xlim(0, 1.12 * max(left.values()))
    panel.set_xlabel(f"dollars for a million jobs, list prices of {result['prices']['as_of']}")
    panel.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle("What AWS bills for a million jobs, without the GPU")
    return figure


DRAWN: Mapping[str, Callable[[Result], Any]] = {
    "overhead_simulator": overhead,
    "overhead_comfyui": overhead,
    "gpu_idle_simulator": gpu_idle,
    "gpu_idle_comfyui": gpu_idle,
    "latency": latency,
    "front": front,
    "growth": growth,
    "memory": memory,
    "cold_start": cold_start,
    "cost": cost,
}


def draw(results: Path, charts: Path) -> None:
    """Draw all that there are results of."""
    charts.mkdir(parents=True, exist_ok=True)
    for name, make in DRAWN.items():
        file = results / f"{name}.json"
        if file.exists():
            with mpl.rc_context(STYLE):
                figure = make(json.loads(file.read_text()))
                if name.endswith("_comfyui"):
                    figure.suptitle(f"{figure.get_suptitle()} (a real ComfyUI)")
                figure.set_layout_engine("constrained")
                figure.savefig(charts / f"{name}.svg", metadata={"Date": None})
                plt.close(figure)


if __name__ == "__main__":
    quick = arguments().parse_args().quick
    draw(QUICK_RESULTS if quick else RESULTS, QUICK_RESULTS if quick else CHARTS)
