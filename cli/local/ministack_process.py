"""Runs ministack as `python -m ministack` would, but for one setting that it does not offer.

When it stops it gives open requests 3 s before it saves its state. Long polls of an executor that is gone
already would always use them up, out of the 5 s that local mode has for its end.
"""

from __future__ import annotations

from hypercorn.config import Config
from ministack.app import main  # type: ignore[import-untyped]

if __name__ == "__main__":
    Config.graceful_timeout = 0.3  # seconds
    main()
