"""Errors of failed executions: how running out of memory is detected, and what to reduce."""

from __future__ import annotations

from typing import Any

import pytest

from executor.comfyui.errors.advice import inputs_to_reduce
from executor.comfyui.errors.failed import execution_failure, is_out_of_memory, may_fit_after_freeing

SAMPLED = {"3": {"class_type": "KSampler", "inputs": {"steps": 20, "seed": 7}}}


def raised(kind: str, message: str) -> dict[str, Any]:
    """Make the data of an `execution_error` message."""
    return {"node_id": "3", "node_type": "KSampler", "exception_type": kind, "exception_message": message}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("torch.OutOfMemoryError", "Allocation on device"),
        ("torch.cuda.OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB."),
        ("MemoryError", ""),
        ("numpy._core._exceptions._ArrayMemoryError", "Unable to allocate 1.2 GiB for an array"),
        ("RuntimeError", "CUDA error: out of memory"),
        ("RuntimeError", "HIP out of memory. Tried to allocate 20.00 MiB"),
        ("RuntimeError", "MPS backend out of memory (MPS allocated: 9 GB)"),
        ("RuntimeError", "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
        ("RuntimeError", "DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        ("RuntimeError", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
        ("onnxruntime.RuntimeException", "Failed to allocate memory for requested buffer of size 9"),
        ("RuntimeError", "Allocator backend out of memory"),
        ("OSError", "[Errno 12] Cannot allocate memory"),
    ],
)
def test_all_out_of_memory_errors_are_detected(kind: str, message: str) -> None:
    """Of the GPU and of the host, from any library, the job's error is the same."""
    assert is_out_of_memory(raised(kind, message))
    assert execution_failure(raised(kind, message), SAMPLED, {}, freed=False).code == "COMFYUI_OOM"


@pytest.mark.parametrize(
    ("kind", "message"), [("ValueError", "bad memory"), ("RuntimeError", "size mismatch"), ("", "")]
)
def test_other_failures_are_node_errors(kind: str, message: str) -> None:
    """Their error code is that of a failed node."""
    assert execution_failure(raised(kind, message), SAMPLED, {}, freed=False).code == "COMFYUI_NODE_ERROR"


@pytest.mark.parametrize(
    ("message", "fits"),
    [
        ("Allocation on device", True),
        ("Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.65 GiB of which 1.10 GiB is free.", True),
        ("Tried to allocate 96.00 GiB. GPU 0 has a total capacity of 23.65 GiB of which 20.1 GiB is free.", False),
        ("Tried to allocate 512.00 MiB. GPU 0 has a total capacity of 8.00 GiB", True),
        ("Requested               : 40.00 GiB\nDevice limit            : 24.00 GiB", False),
        ("Requested : 4.00 GiB\nDevice limit : 24.00 GiB", True),
    ],
)
def test_an_allocation_larger_than_the_gpu_never_fits(message: str, *, fits: bool) -> None:
    """Freeing memory cannot help."""
    assert may_fit_after_freeing(raised("torch.OutOfMemoryError", message)) == fits


@pytest.mark.parametrize(
    ("inputs", "prompt", "named"),
    [
        ({"width": 1024, "height": 768, "steps": 30}, {}, "width (1024) or height (768)"),
        ({"batch_size": 4, "width": 1024, "height": 768}, {}, "batch_size (4), width (1024) or height (768)"),
        ({"frames": 81, "batch_size": 1}, {}, "frames (81)"),
        ({"scale": 1.5, "width": "1024", "height": True}, {}, "scale (1.5)"),
        ({"color": 5}, {"1": {"inputs": {"width": 64}}, "2": {"inputs": {"width": 512}}}, "width (512)"),
        (None, {"1": {"inputs": {"width": 64, "height": 64, "batch_size": 1}}}, "width or height"),
        ({}, SAMPLED, "the image size or the batch size"),
        ({}, {"1": {}}, "the image size or the batch size"),
    ],
)
def test_inputs_that_take_memory_are_named(inputs: dict[str, Any] | None, prompt: dict[str, Any], named: str) -> None:
    """The job's inputs, else those of the graph, without values for private jobs. Only values that can be reduced."""
    assert inputs_to_reduce(inputs, prompt, for_memory=True) == named


def test_inputs_that_take_time_are_named() -> None:
    """Steps come first."""
    assert inputs_to_reduce({"width": 512, "steps": 90}, {}, for_memory=False) == "steps (90) or width (512)"
    assert inputs_to_reduce(None, SAMPLED, for_memory=False) == "steps"
