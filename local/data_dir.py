"""The folder of all data of local mode, locked by one run at a time."""

from __future__ import annotations

import fcntl
import os
import shlex
from typing import TYPE_CHECKING, Self

from gateway.errors import SettingsInvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


# Increase this when earlier code cannot read the new records. Keep the formats that this code still reads.
_FORMAT = "3"
_READABLE_FORMATS = frozenset({"2", _FORMAT})


class DataDir:
    """A writable folder, locked until `release`, and while any process has inherited the lock's file descriptor.

    Raises SettingsInvalidError when it cannot be created or written, when another run has locked it, or when its data
    is of another release and cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        try:
            for folder in (self.path, self.logs, self.state, self.simulator):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._close_to_others()
            self.lock_fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileExistsError as error:
            raise SettingsInvalidError(f"DATA_DIR: {error.filename} is a file, not a folder") from None
        except OSError as error:
            raise SettingsInvalidError(f"DATA_DIR: cannot write to {self.path}: {error.strerror}") from None
        try:
            fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self.lock_fd)
            raise SettingsInvalidError(
                f"DATA_DIR: {self.path} is in use by another run: stop that run, or choose another folder"
            ) from None
        self._check_format()

    def _close_to_others(self) -> None:
        # A folder of an earlier release may be open to other users of the machine. One without our lock file may be
        # any folder of the user, with other things in it: then only what is in our folders is closed.
        own = [self.logs, self.state, self.simulator]
        if {*self.path.iterdir()} == {*own} or (self.path / "lock").exists():
            own.append(self.path)
        for folder in own:
            folder.chmod(0o700)
        for file in (self.path / "environment", self.path / "lock", self.path / "format"):
            if file.exists():
                file.chmod(0o600)

    @property
    def logs(self) -> Path:
        """Log files of the processes."""
        return self.path / "logs"

    @property
    def state(self) -> Path:
        """Tables, queues and files of the embedded AWS."""
        return self.path / "aws"

    @property
    def simulator(self) -> Path:
        """Files of the simulated ComfyUI."""
        return self.path / "simulator"

    @property
    def webhook_secret(self) -> Path:
        """The generated webhook secret, used when WEBHOOK_SECRET is not set."""
        return self.path / "webhook-secret"

    @property
    def file_url_secret(self) -> Path:
        """The generated secret that signs download URLs; stored, so that they survive a restart."""
        return self.path / "file-url-secret"

    def write_environment(self, variables: Mapping[str, str]) -> None:
        """Write a shell file with the variables that the commands for operators need."""
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
        (self.path / "environment").write_text("".join(lines), encoding="utf-8")

    def _check_format(self) -> None:
        marker = self.path / "format"
        if any(self.state.iterdir()):
            found = marker.read_text(encoding="utf-8").strip() if marker.exists() else None
            if found not in _READABLE_FORMATS:
                self.release()
                raise SettingsInvalidError(
                    f"DATA_DIR: {self.path} has data of another release, which this one cannot read: delete it, or "
                    "choose another folder"
                )
        # From now on, records can be in the new format.
        marker.write_text(_FORMAT, encoding="utf-8")

    def release(self) -> None:
        """Unlock the folder."""
        os.close(self.lock_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
