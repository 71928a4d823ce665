"""Runs ministack as `python -m ministack` would, but for two settings that it does not offer.

When it stops it gives open requests 3 s before it saves its state. Long polls of an executor that is gone
already would always use them up, out of the 5 s that local mode has for its end.

It keeps what tables' streams tell for a day, as AWS does, but in memory: 3 KB for each request that is counted. Local
mode reads its stream within a second.
"""

from __future__ import annotations

from hypercorn.config import Config
from ministack.app import main  # type: ignore[import-untyped]
from ministack.services import dynamodb  # type: ignore[import-untyped]

Config.graceful_timeout = 0.3  # seconds
dynamodb._STREAM_RETENTION_SECONDS = 300  # noqa: SLF001  see above

if __name__ == "__main__":
    main()
