"""Draw the charts of docs/measurements.md from the results; bench/run.py runs it where matplotlib is installed.

    .venv/bench/bin/python bench/charts.py [--quick]

Writes one SVG file per result into docs/measurements, or into build/bench for a quick run. Each file contains the hash
of its result, so that a test detects charts of older results.
"""

from __future__ import annotations

import hashlib
import json
import re
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
    "its calls alone": "its AWS calls alone",
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
    "savefig.facecolor": "white",  # readable on pages in dark mode as well
    "svg.fonttype": "none",  # text instead of outlines: a tenth of the size
    "svg.hashsalt": "charts",  # the same file for the same result
}


def overhead(result: Result) -> Any:  # noqa: ANN401  a figure
    """Draw the time of a job from its submission until its output is known."""
    clients = sorted({row["clients"] for row in result["rows"]})
    ways = list(dict.fromkeys(row["way"] for row in result["rows"]))
    figure, panels = plt.subplots(1, len(clients), figsize=(10, 3.2), sharey=True)
    for panel, count in zip(panels, clients, strict=True):
        rows = [row for row in result["rows"] if row["clients"] == count]
        measured = {row["way"]: (row["median_ms"], row["p95_ms"]) for row in rows}
        _bars_with_spread(panel, measured)
        for position, way in enumerate(ways):
            if way not in measured:
                panel.text(0, position, "  only measured with 1 client", va="center", fontsize=8, color="#666666")
        panel.set_title(f"{count} concurrent client{'s' if count > 1 else ''}")
    panels[0].set_yticks(range(len(ways)), [LABELS.get(way, way) for way in ways])
    panels[0].invert_yaxis()
    figure.supxlabel("milliseconds per job: median (bar) and 95th percentile (line)", fontsize=10)
    figure.suptitle("Time from the submission of an almost empty job until its output is known")
    return figure


def _bars_with_spread(panel: Any, values: Mapping[str, tuple[float, float]]) -> None:  # noqa: ANN401  axes
    """Draw medians as bars, in order, and 95th percentiles as lines, with the median as text."""
    for position, (name, (median, p95)) in enumerate(values.items()):
        panel.barh(position, median, 0.65, color=COLORS.get(name, OURS))
        panel.plot([median, p95], [position, position], color="black", linewidth=1)
        panel.text(p95, position, f"  {median:.0f} ms", va="center", fontsize=9)
    panel.set_xlim(0, 1.4 * max(p95 for _, p95 in values.values()))


def gpu_idle(result: Result) -> Any:  # noqa: ANN401  a figure
    """Draw the time that ComfyUI waits between prompts while there is a backlog, as dots on a logarithmic axis."""
    cases = list(dict.fromkeys((row["job_seconds"], row["output_mib"]) for row in result["rows"]))
    ways = list(dict.fromkeys(row["way"] for row in result["rows"]))
    figure, panel = plt.subplots(figsize=(10, 1.9 + 0.55 * len(cases)))
    height = 0.6 / len(ways)
    for number, way in enumerate(ways):
        shares = [row["share"] * 100 for row in result["rows"] if row["way"] == way]
        positions = [position + (number - (len(ways) - 1) / 2) * height for position in range(len(cases))]
        panel.plot(shares, positions, "o", markersize=6, label=LABELS.get(way, way), color=COLORS[way])
        if way in ("gateway", "plain loop"):
            for share, position in zip(shares, positions, strict=True):
                panel.text(share * 1.12, position, f"{share:.3g} %", va="center", fontsize=8, color=COLORS[way])
    panel.set_yticks(range(len(cases)), [f"{seconds:g} s, {mib} MiB" for seconds, mib in cases])
    panel.invert_yaxis()
    panel.grid(axis="y", color="#eeeeee", linewidth=8)
    panel.set_xscale("log")
    panel.set_xlim(0.03, 1000)
    panel.set_xticks([0.1, 1, 10, 100], ["0.1 %", "1 %", "10 %", "100 %"])
    panel.minorticks_off()
    panel.axvline(1, color="black", linewidth=0.8, linestyle=":")
    panel.set_xlabel("idle time as a share of the run time, logarithmic (dotted: 1 %, the target for 0.5 s and 5 MiB)")
    panel.set_ylabel("run time and output of a job")
    figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=len(ways), fontsize=8)
    figure.suptitle("How long the GPU waits between jobs under backlog")
    return figure


def latency(result: Result) -> Any:  # noqa: ANN401  a figure
    """Draw the time before and after the run of a job."""
    figure, (before, after) = plt.subplots(2, 1, figsize=(10, 4.6), height_ratios=[5, 3])
    parts = result["parts_median_ms"]
    left = 0.0
    for position, values in enumerate(parts.values()):
        before.barh(position, values["normal"], left=left, color=OURS)
        left += values["normal"]
        before.text(left, position, f"  {values['normal']:.0f} ms", va="center", fontsize=9)
    before.set_yticks(range(len(parts)), list(parts))
    before.set_xlim(0, 1.1 * left)
    before.set_title("From POST to the start of the run, step by step (medians)")
    ends = result["after_the_run"]
    _bars_with_spread(after, {name: (values["median_ms"], values["p95_ms"]) for name, values in ends.items()})
    after.set_yticks(range(len(ends)), list(ends))
    after.set_title("From the end of the run (bar: median, line: 95th percentile)")
    after.set_xlabel("milliseconds")
    for panel in (before, after):
        panel.invert_yaxis()
    figure.suptitle("Time of a job before and after its run, without other load")
    return figure


def local_api(result: Result) -> Any:  # noqa: ANN401  a figure
    """Draw the throughput of the API process of local mode."""
    requests = list(dict.fromkeys(row["request"] for row in result["rows"]))
    figure, panels = plt.subplots(1, len(requests), figsize=(10, 3.6))
    for panel, request in zip(panels, requests, strict=True):
        rows = [row for row in result["rows"] if row["request"] == request]
        positions = range(len(rows))
        for name, color, label in (
            ("its_calls_alone_per_second", FAINT, "its AWS calls alone: limit of the embedded AWS"),
            ("its_calls_by_boto3_per_second", "#7fb3cc", "its AWS calls by boto3: limit of the SDK"),
        ):
            panel.bar(positions, [row[name] for row in rows], 0.7, color=color, label=label)
        bars = panel.bar(positions, [row["per_second"] for row in rows], 0.4, color=OURS, label="the API process")
        panel.bar_label(
            bars, [f"{row['per_second']:.0f}" for row in rows], fontsize=9, label_type="center", color="white"
        )
        panel.set_xticks(positions, [str(row["clients"]) for row in rows])
        panel.set_xlabel("concurrent clients")
        panel.set_ylabel("requests per second")
        panel.set_title(request)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    figure.suptitle("Requests per second of local mode, and the limits of its AWS calls")
    return figure


def memory(result: Result) -> Any:  # noqa: ANN401  a figure
    """Draw the memory of an executor."""
    seen = result["resident_mb"]
    jobs = [0 if when == "idle" else int(when.split()[1]) for when in seen]
    figure, panel = plt.subplots(figsize=(10, 2.8))
    panel.plot(jobs, list(seen.values()), marker="o", color=OURS)
    panel.set_ylim(0, 1.2 * max(seen.values()))
    panel.set_xlabel("completed jobs, each with an output of 1 MiB")
    panel.set_ylabel("MB in RAM")
    figure.suptitle("Memory of an executor")
    return figure


def cold_start(result: Result) -> Any:  # noqa: ANN401  a figure
    """Draw the load time and archive size of each function."""
    functions = result["functions"]
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
    figure.suptitle("Cold start: load time and archive size per function")
    return figure


def _largest(parts: Mapping[str, Mapping[str, float]], count: int) -> dict[str, None]:
    """Return the largest packages over all functions."""
    total: Counter[str] = Counter()
    for by_package in parts.values():
        total.update(by_package)
    return dict.fromkeys(package for package, _ in total.most_common(count))


def cost(result: Result) -> Any:  # noqa: ANN401  a figure
    """Draw the cost of a million jobs."""
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
    for position, dollars_of_part in enumerate(left.values()):
        panel.text(dollars_of_part + 0.1, position, f"${dollars_of_part:.2f}", va="center", fontsize=9)
    panel.invert_yaxis()
    panel.set_xlim(0, 1.12 * max(left.values()))
    panel.set_xlabel(f"dollars per million jobs, list prices of {result['prices']['as_of']}")
    panel.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle("AWS cost of a million jobs, without the GPU")
    return figure


DRAWN: Mapping[str, Callable[[Result], Any]] = {
    "overhead_simulator": overhead,
    "overhead_comfyui": overhead,
    "gpu_idle_simulator": gpu_idle,
    "gpu_idle_comfyui": gpu_idle,
    "latency": latency,
    "local_api": local_api,
    "memory": memory,
    "cold_start": cold_start,
    "cost": cost,
}


def draw(results: Path, charts: Path) -> None:
    """Draw a chart for every result that exists."""
    charts.mkdir(parents=True, exist_ok=True)
    for name, make in DRAWN.items():
        file = results / f"{name}.json"
        if file.exists():
            with mpl.rc_context(STYLE):
                figure = make(json.loads(file.read_bytes()))
                if name.endswith("_comfyui"):
                    figure.suptitle(f"{figure.get_suptitle()} (a real ComfyUI)")
                figure.set_layout_engine("constrained")
                metadata = {"Date": None, "Source": f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"}
                chart = charts / f"{name}.svg"
                figure.savefig(chart, metadata=metadata)
                plt.close(figure)
                chart.write_text(_compact(chart.read_text(encoding="utf-8")), encoding="utf-8")


def _compact(svg: str) -> str:
    """Round coordinates to hundredths of a point and remove comments."""
    return re.sub(r"\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}", re.sub(r"<!--.*?-->\s*", "", svg))


if __name__ == "__main__":
    quick = arguments().parse_args().quick
    draw(QUICK_RESULTS if quick else RESULTS, QUICK_RESULTS if quick else CHARTS)
