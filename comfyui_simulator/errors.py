"""Exceptions that end a prompt early, and how the server reports them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfyui_simulator.tensor_text import describe

if TYPE_CHECKING:
    from comfyui_simulator.types import JsonObject

OUT_OF_MEMORY_ADVICE = (
    "This error means you ran out of memory on your GPU.\n\n"
    "TIPS: If the workflow worked before you might have accidentally set the batch_size to a large number."
)

# The recorded frames of a failing node. Real servers leak such paths; clients must strip them.
_FRAMES = (
    ("execution.py", 510, "execute"),
    ("execution.py", 324, "get_output_data"),
    ("execution.py", 298, "_async_map_node_over_list"),
    ("execution.py", 286, "process_inputs"),
)


class InterruptedByUserError(Exception):
    """The running prompt was interrupted."""


class WorkerStoppedError(BaseException):
    """The server stops, or a fault kills its worker thread. No node may catch this."""


class OutOfGpuMemoryError(Exception):
    """The simulated GPU has too little memory; reported as torch.OutOfMemoryError."""


def exception_type(error: BaseException) -> str:
    """Return the name under which a real server reports an exception, such as `torch.OutOfMemoryError`."""
    if isinstance(error, OutOfGpuMemoryError):
        return "torch.OutOfMemoryError"
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def failure_details(error: Exception, class_type: str, inputs: JsonObject | None) -> JsonObject:
    """Describe a node's exception in the fields of `execution_error` (recorded: node raises ...).

    Like the real server, this leaks the node's inputs and server paths.
    """
    message = f"{error}\n"
    if isinstance(error, OutOfGpuMemoryError):
        message += OUT_OF_MEMORY_ADVICE
    return {
        "exception_message": message,
        "exception_type": exception_type(error),
        "traceback": fake_traceback(*_FRAMES, (f"nodes/{class_type}.py", 1, "run")),
        "current_inputs": {name: [describe(value)] for name, value in (inputs or {}).items()},
    }


def fake_traceback(*frames: tuple[str, int, str]) -> list[str]:
    """Return traceback lines in the recorded shape: file, line number and function under the recorded root."""
    return [
        f'  File "/opt/ComfyUI/{file}", line {line}, in {function}\n    {function}(...)\n'
        for file, line, function in frames
    ]
