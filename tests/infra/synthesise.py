"""Synthesises a stage of the tests, for a platform: `python -m tests.infra.synthesise PYTHON MACHINE`."""

from __future__ import annotations

import sys

from infra.app import synthesise
from infra.bundle import Platform
from tests.infra.stages import STAGES

if __name__ == "__main__":
    synthesise(STAGES, platform=Platform(*sys.argv[1:]))
