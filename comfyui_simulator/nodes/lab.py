"""The nodes of the lab_nodes pack, with which recordings and tests cause what ordinary nodes rarely do."""

from __future__ import annotations

import json

from comfyui_simulator.errors import OutOfGpuMemoryError
from comfyui_simulator.nodes.node_run import Blocker, NodeRun, Returned, node

_ERRORS: dict[str, type[BaseException]] = {
    "ValueError": ValueError,
    "RuntimeError": RuntimeError,
    "MemoryError": MemoryError,
    "OOM": OutOfGpuMemoryError,
    "torchOOM": OutOfGpuMemoryError,
    "KeyboardInterrupt": KeyboardInterrupt,
    "SystemExit": SystemExit,
}


@node("LabSleep")
def lab_sleep(run: NodeRun) -> Returned:
    """Wait in steps, with or without progress and checks for interrupts."""
    steps = run.integer("steps")
    for step in range(1, steps + 1):
        run.control.wait(run.number("seconds") / steps, interruptible=run.flag("interruptible"))
        if run.flag("progress"):
            run.control.advance(step, steps)
    return Returned((run.images("image"),))


@node("LabRaise")
def lab_raise(run: NodeRun) -> Returned:
    """Raise an error of the given kind; SystemExit and KeyboardInterrupt kill the worker."""
    raise _ERRORS[run.text("kind")](run.text("message"))


@node("LabHoard")
def lab_hoard(run: NodeRun) -> Returned:
    """Run out of memory until /free has been called after the first time."""
    run.machine.gpu.hoard(run.integer("salt"))
    return Returned((run.images("image"),))


@node("LabUI")
def lab_ui(run: NodeRun) -> Returned:
    """Show any JSON."""
    return Returned(ui=json.loads(run.text("json")))


@node("LabValidate")
def lab_validate(run: NodeRun) -> Returned:
    """Return the image; this node only matters at validation."""
    return Returned((run.images("image"),))


@node("LabText")
def lab_text(run: NodeRun) -> Returned:
    """Send a text while running."""
    run.control.show_text(run.text("text"))
    return Returned((run.images("image"),))


@node("LabBlock")
def lab_block(run: NodeRun) -> Returned:
    """Block the nodes after this one."""
    return Returned((Blocker(run.text("message") or None),))


@node("LabExpand")
def lab_expand(run: NodeRun) -> Returned:
    """Expand into two inversions and a preview, or into an inversion and an error."""
    first, second, shown = (f"{run.node_id}.0.0.{number}" for number in (1, 2, 3))
    # The image itself is passed: inner nodes accept values, not links to the outside.
    inversion = {"class_type": "ImageInvert", "inputs": {"image": run.images("image")}}
    error_inputs = {"image": [first, 0], "kind": "ValueError", "message": "inner"}
    error = {"class_type": "LabRaise", "inputs": error_inputs}
    inverted_again = {"class_type": "ImageInvert", "inputs": {"image": [first, 0]}}
    return Returned(
        outputs=([second, 0],),
        expansion={
            first: inversion,
            second: error if run.flag("fail") else inverted_again,
            shown: {"class_type": "PreviewImage", "inputs": {"images": [first, 0]}},
        },
    )
