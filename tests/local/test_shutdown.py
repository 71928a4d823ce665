"""How local mode stops: in order, in time, and with its state saved."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from local.child_process import is_responding
from tests.local.command import (
    LINUX_ONLY,
    START_SECONDS,
    STOP_SECONDS,
    GatewayProcess,
    all_gone,
    finished_job,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def job_counts(url: str) -> dict[str, int]:
    """Return the number of jobs by status, without the statuses of no job."""
    jobs: dict[str, int] = requests.get(f"{url}/stats", timeout=10).json()["jobs"]
    assert jobs.pop("total") == sum(jobs.values())
    return {status: count for status, count in jobs.items() if count}


def accepted_job(url: str) -> str:
    """Submit a job that runs for seconds; return its URL."""
    body = {"workflowId": "icon_512", "inputs": {"prompt": "a key", "steps": 80}}
    return f"{url}{requests.post(f'{url}/jobs', json=body, timeout=10).json()['pollUrl']}"


def saved_and_next_job(url: str, job: dict[str, Any]) -> dict[str, Any]:
    """Check that a run has the job of the last one on the same folder; run another job and return it."""
    assert requests.get(f"{url}/jobs/{job['jobId']}", timeout=10).json()["status"] == "succeeded"
    return finished_job(url)


@LINUX_ONLY
@pytest.mark.slow
def test_ended_and_waiting_jobs_are_there_after_a_restart(start: Callable[..., GatewayProcess]) -> None:
    """An ended job keeps its outputs; jobs that ran or waited at Ctrl-C, with a client waiting, end in the next run."""
    first = start()
    url = first.up()
    done = finished_job(url)
    wait_until(lambda: job_counts(url) == {"succeeded": 1}, START_SECONDS)  # the event sources start last
    jobs = [accepted_job(url) for _ in range(2)]
    wait_until(lambda: requests.get(jobs[0], timeout=10).json()["status"] == "running", 10)
    with ThreadPoolExecutor() as clients:
        waiting = clients.submit(requests.get, f"{jobs[1]}?wait=25", timeout=30)
        pids = first.descendants()
        assert first.end() == 0
        assert waiting.exception() or waiting.result().json()["status"] != "failed"
    assert all_gone(pids)

    second = start()  # which listens on another port, and so does its embedded AWS
    url = second.up()
    again = requests.get(f"{url}/jobs/{done['jobId']}", timeout=10).json()
    assert (again["status"], again["seed"]) == ("succeeded", done["seed"])
    file = requests.get(again["outputs"][0]["downloadUrl"], timeout=10)
    assert len(file.content) == done["outputs"][0]["size"]
    assert requests.get(f"{url}/workflows", timeout=10).json()["count"] == 3
    job_ids = [job.rpartition("/")[2] for job in jobs]
    ended = [requests.get(f"{url}/jobs/{job_id}?wait=25", timeout=30).json() for job_id in job_ids]
    assert [job["status"] for job in ended] == ["succeeded"] * 2
    wait_until(lambda: job_counts(url) == {"succeeded": 3}, START_SECONDS)  # each exactly once

    # When the command itself is killed, its processes end by themselves, and the embedded AWS saves its state.
    pids = second.descendants()
    second.process.kill()
    second.process.wait()
    wait_until(lambda: all_gone(pids), STOP_SECONDS)
    third = start()
    url = third.up()
    assert requests.get(f"{url}/jobs/{job_ids[1]}", timeout=10).json()["status"] == "succeeded"
    wait_until(lambda: job_counts(url) == {"succeeded": 3}, START_SECONDS)  # although the end was not orderly
    assert third.end(signal.SIGTERM) == 0


@pytest.mark.slow
def test_every_orderly_end_saves_the_state(start: Callable[..., GatewayProcess]) -> None:
    """Signals that arrive twice, a second Ctrl-C, a closed terminal: the next run has the job of the last one."""
    run = start()
    job = finished_job(run.up())
    # `make` passes SIGTERM on to a process that has received it from its group as well: it counts once.
    run.process.send_signal(signal.SIGTERM)
    time.sleep(0.01)  # or the kernel merges both
    assert run.end(signal.SIGTERM) == 0

    run = start()
    url = run.up()
    job = saved_and_next_job(url, job)
    going_on = accepted_job(url)
    with ThreadPoolExecutor() as clients:
        waiting = clients.submit(requests.get, f"{going_on}?wait=25", timeout=30)
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.4)  # two signals within a moment count once
        run.process.send_signal(signal.SIGINT)  # cuts off the running job and the open request
        time.sleep(0.3)
        assert run.end() == 0  # which sends a third one
        assert waiting.exception() or waiting.result().status_code == 200

    master, terminal = pty.openpty()
    run = start(terminal=terminal)
    os.close(terminal)
    url = f"http://127.0.0.1:{run.environment['PORT']}"
    wait_until(lambda: is_responding(f"{url}/health"), START_SECONDS)
    job = saved_and_next_job(url, job)
    os.close(master)  # shell and kernel each send SIGHUP, and nothing can be printed any more
    assert run.end(signal.SIGHUP) == 0

    run = start()
    saved_and_next_job(run.up(), job)
    # A state that cannot be saved is a failure: the output and the exit code report it.
    state = Path(run.environment["DATA_DIR"]) / "aws" / "services"
    shutil.rmtree(state, ignore_errors=True)
    state.write_text("a file where the folder should be")
    assert run.end() == 1
    assert str(Path(run.environment["DATA_DIR"]) / "logs" / "aws.log") in run.text


def test_ctrl_c_stops_a_start(start: Callable[..., GatewayProcess]) -> None:
    """A gateway can be stopped before it is up."""
    run = start()
    wait_until(lambda: "Starting" in run.text, START_SECONDS)
    assert run.end() == 0
    assert "is running at" not in run.text


def test_signals_that_are_ignored_at_the_start_stay_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under nohup, and in a background job of a script: neither Ctrl-C nor a closed terminal stops it."""

    def ignore_signals() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    monkeypatch.setattr("tests.local.command.restore_signals", ignore_signals)
    run = GatewayProcess(tmp_path / "output", "--ephemeral")
    url = run.up()
    try:
        for number in (signal.SIGINT, signal.SIGHUP):
            run.process.send_signal(number)
        time.sleep(0.5)
        assert requests.get(f"{url}/health", timeout=10).status_code == 200
    finally:
        assert run.end(signal.SIGTERM) == 0
    assert "Stopping" in run.text
