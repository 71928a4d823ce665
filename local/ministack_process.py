"""Run ministack like `python -m ministack`, with four changes that it has no settings for.

- It serves the stack's own requests only: see local.emulator_guard.
- It saves its state every few seconds, not only when it stops: see local.emulator_snapshots.
- When it stops, it waits 3 s for open requests before it saves its state. Long polls of a stopped executor would
  always use up this time, out of the 5 s that local mode has to stop.
- It keeps the stream records of tables for a day, as AWS does, but in memory: 3 KB per counted request. Local mode
  reads its stream within a second.
"""

from __future__ import annotations

import os

import ministack.app  # type: ignore[import-untyped]
from hypercorn.config import Config
from ministack.services import dynamodb  # type: ignore[import-untyped]

from local.emulator_guard import EmulatorGuard
from local.emulator_snapshots import Snapshots

Config.graceful_timeout = 0.3  # seconds
dynamodb._STREAM_RETENTION_SECONDS = 300  # noqa: SLF001  see above

if __name__ == "__main__":
    ministack.app.app = EmulatorGuard(
        Snapshots(ministack.app.app) if os.environ.get("PERSIST_STATE") == "1" else ministack.app.app,
        host=f"127.0.0.1:{os.environ['GATEWAY_PORT']}",
        key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret=os.environ["AWS_SECRET_ACCESS_KEY"],
    )
    ministack.app.main()
