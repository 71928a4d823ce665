"""Synthesize the stages of the tests for a platform: `python -m tests.infra.synthesize PYTHON MACHINE FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from infra.app import synthesize
from infra.bundle import Platform
from tests.infra.stages import STAGES

if __name__ == "__main__":
    python, machine, folder = sys.argv[1:]
    for stage in STAGES:
        synthesize(STAGES, stage=stage, platform=Platform(python, machine), folder=Path(folder, stage))
