"""The port SweepStore."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.domain.job import Priority
from gateway.domain.lost_jobs import SweepState
from tests.component.samples import LATER, NOW, SOON

if TYPE_CHECKING:
    from tests.ports.conftest import Ports


def test_the_first_run_starts_from_nothing(ports: Ports) -> None:
    """Before the first write, the state is a new one."""
    assert ports.sweeps.read() == SweepState()


def test_a_state_is_read_as_it_was_written(ports: Ports) -> None:
    """All fields survive; the version counts the writes."""
    state = replace(
        SweepState(), counted_at=LATER, empty_since={Priority.LOW: NOW}, ended_before=SOON, unannounced=("a", "b")
    )
    written = ports.sweeps.write(state)
    assert written == replace(state, version=1)
    assert ports.sweeps.read() == written


def test_a_run_that_was_overtaken_writes_nothing(ports: Ports) -> None:
    """Of two runs that read the same state, the second to write gets None."""
    first = ports.sweeps.write(replace(SweepState(), counted_at=NOW))
    assert ports.sweeps.write(replace(SweepState(), counted_at=LATER)) is None
    assert ports.sweeps.read() == first
