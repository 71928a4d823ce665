"""The input, output and temp directories of the server, and the names of new files."""

from __future__ import annotations

import contextlib
import hashlib
import mimetypes
import re
import shutil
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from comfyui_simulator.types import JsonObject

KINDS = ("input", "output", "temp")

_ANNOTATION = re.compile(r"^(?P<name>.*?) ?\[(?P<kind>input|output|temp)\]$")


class OutsideDirectoryError(Exception):
    """A path leads out of the directory that it must stay in."""


@dataclass(frozen=True)
class NewFile:
    """A file to be written, and how outputs refer to it."""

    path: Path
    reference: JsonObject


class FileStore:
    """The three directories of a server; the temp directory is emptied at the start."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._counters: dict[Path, int] = {}
        self._lock = threading.Lock()
        shutil.rmtree(self.directory("temp"), ignore_errors=True)
        for kind in KINDS:
            self.directory(kind).mkdir(parents=True, exist_ok=True)

    def directory(self, kind: str) -> Path:
        """Return the directory of a kind, one of `KINDS`."""
        return self._root / kind

    def resolve(self, name: str, subfolder: str = "", kind: str = "input") -> Path:
        """Return the path of a file; `name` may end in ` [output]` and the like, which overrides `kind`.

        Raises OutsideDirectoryError when the path is not inside the directory.
        """
        if annotated := _ANNOTATION.match(name):
            name, kind = annotated["name"], annotated["kind"]
        directory = self.directory(kind)
        path = (directory / subfolder / name).resolve()
        if not path.is_relative_to(directory):
            raise OutsideDirectoryError(name)
        return path

    def has_input(self, name: str) -> bool:
        """Return whether an input file, possibly annotated with another directory, exists."""
        with contextlib.suppress(OutsideDirectoryError):
            return self.resolve(name).is_file()
        return False

    def fingerprint(self, name: str) -> str:
        """Return a text that changes when the content of an input file changes."""
        return hashlib.sha256(self.resolve(name).read_bytes()).hexdigest() if self.has_input(name) else "missing"

    def input_files(self, media: str) -> list[str]:
        """Return the names of the files of a media type, `image` or `audio`, in the input directory itself, sorted."""
        names = sorted(path.name for path in self.directory("input").iterdir() if path.is_file())
        return [name for name in names if (mimetypes.guess_type(name)[0] or "").startswith(f"{media}/")]

    def new_files(self, kind: str, prefix: str, suffix: str, size: tuple[int, int], count: int = 1) -> list[NewFile]:
        """Return `count` unused file names: a counter after the prefix, whose folders become the subfolder.

        `kind` is one of `KINDS`. `prefix` may contain %year%, %month%, %day%, %hour%, %minute%, %second%, %width% and
        %height%, where `size` is the width and height of the image. Files of all suffixes share the counter.
        Raises Exception, as the real server does, when the prefix leads out of the directory.
        """
        prefix = _fill_in(prefix, size)
        directory = self.directory(kind)
        base = (directory / prefix).resolve()
        folder = base.parent
        if not folder.is_relative_to(directory):
            # The recorded text and type: clients receive them.
            raise Exception(  # noqa: TRY002  reported to clients as "Exception"
                "**** ERROR: Saving image outside the output folder is not allowed.\n"
                f" full_output_folder: {folder}\n         output_dir: {directory}\n         commonpath: {self._root}"
            )
        folder.mkdir(parents=True, exist_ok=True)
        subfolder = folder.relative_to(directory).as_posix().removeprefix(".")
        first = self._take_numbers(base, count)
        names = [f"{base.name}_{number:05}_{suffix}" for number in range(first, first + count)]
        return [NewFile(folder / name, {"filename": name, "subfolder": subfolder, "type": kind}) for name in names]

    def _take_numbers(self, base: Path, count: int) -> int:
        """Return the first of `count` numbers after the highest one that files of this prefix have."""
        with self._lock:
            if base not in self._counters:
                # Listed once: a directory with thousands of outputs would otherwise slow down every job.
                pattern = re.compile(re.escape(base.name) + r"_(\d+)_?\.", re.IGNORECASE)
                matches = [pattern.match(path.name) for path in base.parent.iterdir()]
                self._counters[base] = max((int(match[1]) for match in matches if match), default=0)
            first = self._counters[base] + 1
            self._counters[base] += count
            return first

    def save_upload(self, content: bytes, name: str, subfolder: str, kind: str, *, overwrite: bool) -> str:
        """Store an uploaded file and return its name: `x (1).png` if the name is in use for other content.

        Raises OutsideDirectoryError when the path is not inside the directory, and FileNotFoundError when the name
        contains folders.
        """
        directory = self.directory(kind)
        wanted = (directory / subfolder / name).resolve()
        if not wanted.is_relative_to(directory):
            raise OutsideDirectoryError(name)
        (directory / subfolder).mkdir(parents=True, exist_ok=True)
        path, attempt = wanted, 0
        while path.exists() and not overwrite:
            if path.read_bytes() == content:
                return path.name
            attempt += 1
            path = wanted.with_name(f"{wanted.stem} ({attempt}){wanted.suffix}")
        path.write_bytes(content)
        return path.name


def _fill_in(prefix: str, size: tuple[int, int]) -> str:
    now = time.localtime()
    values = {
        "year": str(now.tm_year),
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
        "width": str(size[0]),
        "height": str(size[1]),
    }
    for name, value in values.items():
        prefix = prefix.replace(f"%{name}%", value)
    return prefix
