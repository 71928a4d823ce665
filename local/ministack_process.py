"""Run ministack like `python -m ministack`, with two changes that it has no settings for.

- When it stops, it waits 3 s for open requests before it saves its state. Long polls of a stopped executor would
  always use up this time, out of the 5 s that local mode has to stop.
- It keeps the stream records of tables for a day, as AWS does, but in memory: 3 KB per counted request. Local mode
  reads its stream within a second.
"""

from __future__ import annotations

from hypercorn.config import Config
from ministack.app import main  # type: ignore[import-untyped]
from ministack.services import dynamodb  # type: ignore[import-untyped]

Config.graceful_timeout = 0.3  # seconds
dynamodb._STREAM_RETENTION_SECONDS = 300  # noqa: SLF001  see above

if __name__ == "__main__":
    main()
