"""Draws docs/flow.svg, the path of one job: `make docs`."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

PICTURE = Path(__file__).parents[1] / "docs" / "flow.svg"
_WIDTH, _HEIGHT = 1180, 600
_INK, _DIM, _LINE, _ACCENT = "#1f2933", "#52606d", "#7b8794", "#0b69a3"


@dataclass(frozen=True)
class Box:
    """A part of the system. Lengths are in units of the picture."""

    x: int
    y: int
    width: int
    height: int
    title: str
    lines: tuple[str, ...] = ()

    def svg(self) -> str:
        """Draw it."""
        middle = self.x + self.width / 2
        top = self.y + self.height / 2 - 9 * len(self.lines) + 5
        words = [f'<text x="{middle}" y="{top}" class="title">{escape(self.title)}</text>']
        words += [
            f'<text x="{middle}" y="{top + 19 * number}" class="line">{escape(line)}</text>'
            for number, line in enumerate(self.lines, start=1)
        ]
        frame = f'<rect x="{self.x}" y="{self.y}" width="{self.width}" height="{self.height}" rx="8" class="box"/>'
        return frame + "".join(words)


@dataclass(frozen=True)
class Arrow:
    """A call or a message from one part to another. `label_at` is the center of its label."""

    points: tuple[tuple[int, int], ...]
    number: int
    label: str
    label_at: tuple[int, int]
    both_ways: bool = False

    def svg(self) -> str:
        """Draw it."""
        path = " ".join(f"{x},{y}" for x, y in self.points)
        start = ' marker-start="url(#head)"' if self.both_ways else ""
        x, y = self.label_at
        return (
            f'<polyline points="{path}" class="arrow" marker-end="url(#head)"{start}/>'
            f'<text x="{x}" y="{y}" class="label">'
            f'<tspan class="number">{self.number}</tspan> {escape(self.label)}</text>'
        )


REGIONS = (
    Box(250, 20, 470, 560, "AWS, or the embedded AWS of local mode"),
    Box(900, 20, 260, 560, "GPU host"),
)
BOXES = (
    Box(20, 70, 110, 490, "Your app"),
    Box(275, 70, 150, 90, "HTTP API", ("key, rate limit,", "inputs")),
    Box(550, 70, 150, 90, "Queues", ("high, normal, low", "SQS")),
    Box(550, 200, 150, 90, "Table", ("jobs, workflows, keys", "DynamoDB")),
    Box(550, 330, 150, 90, "Files", ("outputs", "S3")),
    Box(550, 470, 150, 90, "Event bus", ("with a queue", "EventBridge, SQS")),
    Box(275, 470, 150, 90, "Webhooks", ("signed,", "with retries")),
    Box(920, 70, 100, 490, "Executor"),
    Box(1062, 200, 88, 220, "ComfyUI"),
)
ARROWS = (
    Arrow(((130, 115), (275, 115)), 1, "POST /jobs", (190, 106)),
    Arrow(((325, 160), (325, 232), (550, 232)), 2, "job record", (438, 223)),
    Arrow(((425, 115), (550, 115)), 3, "message", (487, 106)),
    Arrow(((700, 115), (920, 115)), 4, "receive", (812, 106)),
    Arrow(((920, 245), (700, 245)), 5, "claim, lease, status", (812, 236), both_ways=True),
    Arrow(((1020, 310), (1062, 310)), 6, "", (1041, 301), both_ways=True),
    Arrow(((920, 375), (700, 375)), 7, "store outputs", (812, 366)),
    Arrow(((920, 515), (700, 515)), 8, "“job ended” event", (812, 506)),
    Arrow(((550, 515), (425, 515)), 9, "event", (487, 506)),
    Arrow(((275, 515), (130, 515)), 10, "signed POST", (190, 506)),
    Arrow(((550, 375), (130, 375)), 11, "download", (340, 366)),
)
_STYLE = f"""
text {{ font-family: -apple-system, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; text-anchor: middle; }}
.title {{ font-size: 16px; font-weight: 600; fill: {_INK}; }}
.region {{ font-size: 14px; fill: {_DIM}; }}
.line {{ font-size: 12.5px; fill: {_DIM}; }}
.label {{ font-size: 13px; fill: {_INK}; }}
.number {{ font-weight: 700; fill: {_ACCENT}; }}
.box {{ fill: #ffffff; stroke: {_LINE}; stroke-width: 1.5; }}
.area {{ fill: #f0f4f8; stroke: #cbd2d9; }}
.arrow {{ fill: none; stroke: {_ACCENT}; stroke-width: 1.6; }}
"""
_HEAD = (
    '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
    f'orient="auto-start-reverse"><path d="M0,0 L10,5 L0,10 z" fill="{_ACCENT}"/></marker></defs>'
)


def picture() -> str:
    """Draw the picture, with a background of its own so that it is readable on dark pages, too."""
    regions = "".join(
        f'<rect x="{each.x}" y="{each.y}" width="{each.width}" height="{each.height}" rx="12" class="area"/>'
        f'<text x="{each.x + each.width / 2}" y="{each.y + 25}" class="region">{escape(each.title)}</text>'
        for each in REGIONS
    )
    drawn = "\n".join([regions, *(box.svg() for box in BOXES), *(arrow.svg() for arrow in ARROWS)])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' width="{_WIDTH}" height="{_HEIGHT}">\n'
        f"<title>The path of one job</title><style>{_STYLE}</style>{_HEAD}\n"
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="12" fill="#ffffff"/>\n{drawn}\n</svg>\n'
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
