"""Outputs larger than memory."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from gateway.domain.job import JobStatus
from testing.prompts import image_prompt
from tests.executor.discarding_s3 import discarding_s3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testing.executor_harness import AwsExecutorHarness

pytestmark = pytest.mark.slow
MIB = 1024**2


def memory_bytes(process_id: int, which: str) -> int:
    """Return the resident memory of a process (VmRSS), or its peak (VmHWM); Linux only."""
    status = Path(f"/proc/{process_id}/status").read_text()
    match = re.search(rf"{which}:\s+(\d+) kB", status)
    assert match
    return int(match[1]) * 1024


def make_files(folder: Path, size: int, names: list[str]) -> dict[str, Any]:
    """Make sparse files, and a prompt whose outputs they are."""
    (folder / "output").mkdir()
    for name in names:
        with (folder / "output" / name).open("wb") as file:
            file.truncate(size)
    reported = {"files": [{"filename": name, "subfolder": "", "type": "output"} for name in names]}
    return {**image_prompt(), "3": {"class_type": "LabUI", "inputs": {"json": json.dumps(reported), "image": ["1", 0]}}}


@pytest.mark.parametrize(("count", "size", "most_megabytes"), [(1, 400 * MIB, 150), (4, 64 * MIB, 200)])
def test_large_outputs_use_little_memory(
    aws_harness: AwsExecutorHarness, tmp_path: Path, count: int, size: int, most_megabytes: int
) -> None:
    """The memory limit is below the size of one file, and of several files that are stored at once."""
    names = [f"large-{number}.bin" for number in range(count)]
    prompt = make_files(tmp_path, size, names)
    with (
        SimulatorServer(SimulatorSettings(data_dir=tmp_path)) as simulator,
        discarding_s3() as store,
        run_executor(aws_harness, simulator.url, store.url) as executor,
    ):
        job = aws_harness.wait_until_ended(aws_harness.submit(prompt), seconds=100)
        peak = memory_bytes(executor.pid, "VmHWM")
    assert job.status is JobStatus.SUCCEEDED, job.error
    large = {output.filename: output for output in job.outputs or () if output.filename in names}
    expected = hashlib.sha256()
    for _ in range(size // MIB):
        expected.update(bytes(MIB))
    assert {(output.size, output.sha256) for output in large.values()} == {(size, expected.hexdigest())}
    assert sorted(large) == names
    assert sum(store.large_bytes.values()) == count * size
    assert peak / 1e6 < most_megabytes


def test_memory_is_returned_after_large_outputs(aws_harness: AwsExecutorHarness, tmp_path: Path) -> None:
    """Whatever the number of files and threads."""
    prompt = make_files(tmp_path, 7 * MIB, [f"{number}.bin" for number in range(16)])
    with (
        SimulatorServer(SimulatorSettings(data_dir=tmp_path)) as simulator,
        discarding_s3() as store,
        run_executor(aws_harness, simulator.url, store.url) as executor,
    ):
        for job_id in [aws_harness.submit(prompt) for _ in range(4)]:
            assert aws_harness.wait_until_ended(job_id, seconds=100).status is JobStatus.SUCCEEDED
        resident = memory_bytes(executor.pid, "VmRSS")
    assert resident / 1e6 < 120


@contextmanager
def run_executor(
    aws_harness: AwsExecutorHarness, comfyui_url: str, store_url: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run an executor as a process."""
    environment = {
        **os.environ,
        **aws_harness.environment,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "COMFYUI_URL": comfyui_url,
        "S3_ENDPOINT": store_url,
        "S3_BUCKET": "large",
        "S3_REGION": "eu-central-1",
        "SHUTDOWN_GRACE_SECONDS": "0",
    }
    with subprocess.Popen([sys.executable, "-m", "executor"], env=environment) as executor:
        try:
            yield executor
        finally:
            executor.send_signal(signal.SIGTERM)
