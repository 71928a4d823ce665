"""Local mode, started and stopped for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.local.command import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start runs that do not outlive the test; the data folder is the same for all of one test."""
    runs: list[Run] = []

    def start_one(*arguments: str, terminal: int | None = None, **variables: str) -> Run:
        variables.setdefault("DATA_DIR", str(tmp_path / "data"))
        runs.append(Run(tmp_path / f"output-{len(runs)}", *arguments, terminal=terminal, **variables))
        return runs[-1]

    yield start_one
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()
