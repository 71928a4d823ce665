"""Creates docs/pictures/submit.svg, a terminal that shows a submitted job and its result: `make docs`.

The command runs in a pseudo-terminal, against a gateway that is started for it. The picture is an animation: frames
from the run lie above the last screen, and are visible one after the other.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "submit.svg"
COMMAND = ("submit", "sdxl_realism_v1", "-i", 'prompt="a lighthouse at dawn"', "-o", "images")
_COLUMNS, _ROWS = 84, 24
_LINES = 4  # drawn below the command
_START_SECONDS = 60
_SECONDS_PER_STEP = 0.25  # of the simulator: slow enough to see progress
_MAX_FRAMES = 5  # of the run
_FRAME_SECONDS, _LAST_SECONDS = 1, 4
# Ids and times differ from run to run; the picture stays the same when nothing else has changed.
_JOB_ID = "3f0c5f8e-6a57-4b0e-9d5c-0c6a1f7d2b11"
_UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBER = re.compile(r"\d+(\.\d+)?")
_THEME = TerminalTheme(
    (22, 27, 34),
    (230, 237, 243),
    [(72, 79, 88), (255, 123, 114), (63, 185, 80), (210, 153, 34), (88, 166, 255), (188, 140, 255), (57, 197, 207),
     (177, 186, 196)],
    [(110, 118, 129), (255, 161, 152), (86, 211, 100), (227, 179, 65), (121, 192, 255), (210, 168, 255),
     (86, 212, 221), (255, 255, 255)],
)  # fmt: skip
# As Rich's own format, but with fonts that every reader has, so that nothing is loaded from elsewhere.
_FRAME = """\
<svg class="{unique_id}" viewBox="0 0 {width} {height}">
<style>
.{unique_id}-matrix {{ font: {char_height}px/{line_height}px Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
.{unique_id}-title {{ font: bold 16px -apple-system, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def screens(url: str) -> list[list[str]]:
    """Run the command against a gateway, and return the screens that its terminal shows over time, without repeats."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = _run_in_terminal([part.replace('"', "") for part in COMMAND], url, folder)
    job_id = _UUID.search(outputs[-1])
    if job_id is None:
        raise RuntimeError(outputs[-1])
    found: list[list[str]] = []
    for output in outputs:
        screen = _screen(output.replace(job_id[0], _JOB_ID).replace(job_id[0][:8], _JOB_ID[:8]))
        if screen not in found[-1:]:
            found.append(screen)
    return found


def _run_in_terminal(arguments: list[str], url: str, folder: str) -> list[str]:
    """Return the output up to each moment at which the command had written something."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "COMFYUI_GATEWAY_URL": url, "HOME": folder}
    process = subprocess.Popen(  # noqa: S603  our own command
        [sys.executable, "-m", "cli", *arguments],
        cwd=folder,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    output, outputs = b"", []
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux reports the end of a terminal as an error
            break
        if not piece:
            break
        output += piece
        outputs.append(output.decode(errors="ignore"))
    os.close(ours)
    if process.wait() != 0:
        raise RuntimeError(output.decode())
    return outputs


def _screen(output: str) -> list[str]:
    """Return the lines of a terminal after it has received this output, with their colors.

    Rich draws progress by moving up and erasing whole lines; no other cursor movement is supported.
    """
    lines, row = [""], 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r?\n|\r)", output):
        if part in ("\n", "\r\n"):
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif up := re.fullmatch(r"\x1b\[(\d*)A", part):
            row -= int(up[1] or 1)
        elif part != "\r" and (not part.startswith("\x1b") or part.endswith("m")):
            lines[row] += part
    while lines and not Text.from_ansi(lines[-1]).plain.strip():
        lines.pop()
    return lines


def picture(run: list[list[str]], last: list[str]) -> str:
    """Draw a terminal that shows these screens of a run one after the other, and then the last one."""
    total_seconds = _FRAME_SECONDS * len(run) + _LAST_SECONDS
    shown_percent = 100 * _FRAME_SECONDS / total_seconds
    styles = [f"@keyframes show {{ 0%, {shown_percent:.1f}% {{ visibility: visible; }} }}"]
    for number in range(len(run)):
        start = f"{_FRAME_SECONDS * number}s"
        animation = f"show {total_seconds}s step-end {start} infinite"
        styles.append(f".frame{number} {{ visibility: hidden; animation: {animation}; }}")
    # Readers who prefer no motion, and viewers that do not animate, see the last screen.
    styles.append("@media (prefers-reduced-motion) { svg svg { animation: none; } }")
    frames = [frame(last, "last"), *(frame(screen, f"frame{number}") for number, screen in enumerate(run))]
    size = re.search(r'viewBox="0 0 [\d.]+ [\d.]+"', frames[0])
    if size is None:
        raise RuntimeError(frames[0])
    title = "<title>A terminal in which a job is submitted, and its output saved</title>"
    style = "\n".join(styles)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size[0]}>\n{title}\n<style>\n{style}\n</style>\n'
        f"{''.join(frames)}</svg>\n"
    )


def frame(screen: list[str], name: str) -> str:
    """Draw a terminal that shows the command and a screen."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), highlight=False, color_system="truecolor")
    command = f"comfyui-gateway {' '.join(COMMAND)}"
    console.print(Text.assemble(("$ ", "green"), (command, "bold")), soft_wrap=True)
    for number in range(_LINES):  # one more than a screen has, because the terminal's frame cuts off descenders
        console.print(Text.from_ansi(screen[number] if number < len(screen) else ""), soft_wrap=True)
    return console.export_svg(title="comfyui-gateway", theme=_THEME, code_format=_FRAME, unique_id=name)


def progress(found: list[list[str]]) -> list[list[str]]:
    """Select a few screens of a run, evenly, without the first and the last ones."""
    running = [screen for screen in found[:-1] if any("%" in line for line in screen)]
    step = max(1, len(running) // _MAX_FRAMES)
    return running[::step][:_MAX_FRAMES]


def is_current(svg: str, last: list[str]) -> bool:
    """Return whether a picture ends with this screen. Numbers may differ: times and sizes differ between runs."""
    return _NUMBER.sub("0", frame(last, "last")) in _NUMBER.sub("0", svg)


@contextmanager
def _gateway(comfyui_url: str) -> Iterator[str]:
    """Run a gateway on a free port, without stored data."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "run", "--ephemeral"],
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "HOME": folder,
                "PORT": str(port),
                "COMFYUI_URL": comfyui_url,
            },
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait_for_executor(url)
            yield url
        finally:
            process.terminate()
            process.wait()


def _wait_for_executor(url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            if requests.get(f"{url}/health", timeout=10).json()["comfyui"]["reachable"]:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.2)
    raise TimeoutError(url)


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    with (
        SimulatorServer(SimulatorSettings(seconds_per_step=_SECONDS_PER_STEP)) as simulator,
        _gateway(simulator.url) as gateway_url,
    ):
        all_screens = screens(gateway_url)
    if not (PICTURE.exists() and is_current(PICTURE.read_text(encoding="utf-8"), all_screens[-1])):
        PICTURE.write_text(picture(progress(all_screens), all_screens[-1]), encoding="utf-8")
