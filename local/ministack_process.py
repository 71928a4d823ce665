"""Run ministack like `python -m ministack`, with three changes that it has no settings for.

- It serves the stack's own requests only: see local.emulator_guard.
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

Config.graceful_timeout = 0.3  # seconds
dynamodb._STREAM_RETENTION_SECONDS = 300  # noqa: SLF001  see above

if __name__ == "__main__":
    ministack.app.app = EmulatorGuard(
        ministack.app.app,
        host=f"127.0.0.1:{os.environ['GATEWAY_PORT']}",
        key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret=os.environ["AWS_SECRET_ACCESS_KEY"],
    )
    ministack.app.main()
