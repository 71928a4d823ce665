"""Save the state of ministack every few seconds, so that a crash loses only the last of them.

ministack itself saves when it stops. Here a forked child saves: it has a copy of the state as of one moment, and the
requests of the meantime do not wait. It writes all files beside those of the last save and then renames them, so that
a save is complete or did not happen. Objects of S3 need no save: ministack writes them when they are put.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ministack import app as ministack_app  # type: ignore[import-untyped]
from ministack.core import persistence  # type: ignore[import-untyped]

from local.child_process import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.emulator_guard import AsgiApp, Message, Receive, Send

INTERVAL_SECONDS = 2.0
# Of the time that a save takes: saving a large state takes a tenth of one core at most.
_INTERVAL_PER_SAVE = 10
_POLL_SECONDS = 0.02


class Snapshots:
    """An ASGI application in front of ministack's that saves its state while it runs."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app
        self._changed = False
        self._saver: int | None = None  # process id
        self._end_with_parent = end_with_parent(signal.SIGKILL)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass on a request, and note whether it can have changed the state."""
        if scope["type"] != "lifespan":
            # Messages become visible and records expire without a request, but the next start does the same.
            self._changed = self._changed or scope["method"] != "GET"
            await self._app(scope, receive, send)
            return
        saving = asyncio.create_task(self._save_often())

        async def received() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                saving.cancel()
                self._kill_saver()  # ministack saves now; an older state must not replace that later
            return message

        await self._app(scope, received, send)

    async def _save_often(self) -> None:
        interval = INTERVAL_SECONDS
        while True:
            await asyncio.sleep(interval)
            if self._changed:
                self._changed = False
                started = time.monotonic()
                if not await self._save():
                    self._changed = True
                interval = max(INTERVAL_SECONDS, _INTERVAL_PER_SAVE * (time.monotonic() - started))

    async def _save(self) -> bool:
        gc.freeze()  # a collection in the child would copy all memory that it shares with this process
        self._saver = os.fork()
        if self._saver == 0:
            _in_child(self._end_with_parent)
        gc.unfreeze()
        while True:
            pid, status = os.waitpid(self._saver, os.WNOHANG)  # noqa: ASYNC222  returns at once
            if pid:
                self._saver = None
                return status == 0
            await asyncio.sleep(_POLL_SECONDS)

    def _kill_saver(self) -> None:
        if self._saver is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._saver, signal.SIGKILL)
            os.waitpid(self._saver, 0)
            self._saver = None


def _in_child(end_with_parent: Callable[[], None] | None) -> None:
    """Save, and exit. Nothing of the parent's loop, signal handlers and exit handlers may run here."""
    code = 1
    try:
        if end_with_parent is not None:
            end_with_parent()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _write_all(Path(persistence.STATE_DIR))
        code = 0
    finally:
        os._exit(code)


def _write_all(folder: Path) -> None:
    new = folder.with_name(f"{folder.name}.new")
    new.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    persistence.STATE_DIR = str(new)
    persistence.save_all(ministack_app._build_persistence_save_dict())  # noqa: SLF001  what its own stop calls
    written = sorted(new.glob("*.json"))
    for file in written:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    for file in written:
        file.replace(folder / file.name)
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
