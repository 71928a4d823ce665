from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.kill import STEPS, kill_at

if TYPE_CHECKING:
    from tests.faults.scene import Scene


@pytest.mark.parametrize("step", STEPS)
def test_an_executor_killed_right_after_a_step_loses_nothing(scene: Scene, step: str) -> None:
    """Another one ends the job; what ComfyUI, the store or the table had done counts, and is not done again."""
    kill_at(scene, step, carried_out=True)
