"""The folder that local mode keeps everything in, for one run at a time."""

from __future__ import annotations

import fcntl
import os
import shlex
from typing import TYPE_CHECKING, Self

from gateway.errors import SettingsInvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


# A new number whenever records that an older release has written cannot be read any more.
_FORMAT = "2"


class DataDir:
    """An existing, writable folder, held against other runs until `release` or the end of all who hold its lock.

    Raises SettingsInvalidError when it cannot be made or written, when another run holds it, or when what it has is of
    another release and cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        try:
            for folder in (self.path, self.logs, self.state, self.simulator):
                folder.mkdir(parents=True, exist_ok=True)
            self.lock_fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileExistsError as error:
            raise SettingsInvalidError(f"DATA_DIR: {error.filename} is a file, not a folder") from None
        except OSError as error:
            raise SettingsInvalidError(f"DATA_DIR: cannot write to {self.path}: {error.strerror}") from None
        try:
            fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self.lock_fd)
            raise SettingsInvalidError(
                f"DATA_DIR: {self.path} is in use by another run; stop it, or choose another folder"
            ) from None
        self._check_format()

    @property
    def logs(self) -> Path:
        """What the processes write."""
        return self.path / "logs"

    @property
    def state(self) -> Path:
        """Tables, queues and files of the embedded AWS."""
        return self.path / "aws"

    @property
    def simulator(self) -> Path:
        """What the simulated ComfyUI keeps."""
        return self.path / "simulator"

    @property
    def webhook_secret(self) -> Path:
        """The secret that signs webhooks, when none is set."""
        return self.path / "webhook-secret"

    def write_environment(self, variables: Mapping[str, str]) -> None:
        """Write down how to reach what runs here, for a shell to read: the operator's commands go by it."""
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
        (self.path / "environment").write_text("".join(lines), encoding="utf-8")

    def _check_format(self) -> None:
        mark = self.path / "format"
        if not any(self.state.iterdir()):
            mark.write_text(_FORMAT, encoding="utf-8")
        elif not mark.exists() or mark.read_text(encoding="utf-8") != _FORMAT:
            self.release()
            raise SettingsInvalidError(
                f"DATA_DIR: {self.path} was written by another release, and this one cannot read it; remove it, or "
                "choose another folder"
            )

    def release(self) -> None:
        """Let others have it."""
        os.close(self.lock_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
