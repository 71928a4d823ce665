from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.kill import STEPS, kill_at

if TYPE_CHECKING:
    from tests.faults.scene import Scene


@pytest.mark.parametrize("step", STEPS)
def test_an_executor_killed_before_a_step_loses_nothing(scene: Scene, step: str) -> None:
    """Another one ends the job, and ComfyUI runs its prompt once."""
    kill_at(scene, step, carried_out=False)
