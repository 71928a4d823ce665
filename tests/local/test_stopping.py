"""How local mode ends: in order, in time, and with what was done kept."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from local.child_process import is_responding
from tests.local.command import (
    LINUX_ONLY,
    START_SECONDS,
    STOP_SECONDS,
    Run,
    all_gone,
    finished_job,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@LINUX_ONLY
def test_what_was_done_and_what_was_not_is_there_after_a_restart(start: Callable[..., Run]) -> None:
    """An ended job keeps its outputs; jobs that ran or waited at Ctrl-C, with a client waiting, end in the next run."""
    first = start()
    url = first.up()
    done = finished_job(url)
    wait_until(lambda: job_counts(url) == {"succeeded": 1}, START_SECONDS)  # the background functions start last
    body = {"workflowId": "icon_512", "inputs": {"prompt": "a key", "steps": 80}}
    jobs = [requests.post(f"{url}/jobs", json=body, timeout=10).json()["pollUrl"] for _ in range(2)]
    wait_until(lambda: requests.get(f"{url}{jobs[0]}", timeout=10).json()["status"] == "running", 10)
    with ThreadPoolExecutor() as clients:
        waiting = clients.submit(requests.get, f"{url}{jobs[1]}?wait=25", timeout=30)
        pids = first.descendants()
        assert first.end() == 0
        assert waiting.exception() or waiting.result().json()["status"] != "failed"
    assert all_gone(pids)
    assert "may be lost" not in first.text

    second = start()  # which listens on another port, and so does its embedded AWS
    url = second.up()
    again = requests.get(f"{url}/jobs/{done['jobId']}", timeout=10).json()
    assert (again["status"], again["seed"]) == ("succeeded", done["seed"])
    file = requests.get(again["outputs"][0]["downloadUrl"], timeout=10)
    assert len(file.content) == done["outputs"][0]["size"]
    assert requests.get(f"{url}/workflows", timeout=10).json()["count"] == 3
    ended = [requests.get(f"{url}{job}?wait=25", timeout=30).json() for job in jobs]
    assert [job["status"] for job in ended] == ["succeeded"] * 2
    wait_until(lambda: job_counts(url) == {"succeeded": 3}, START_SECONDS)  # none twice, and none left out
    assert second.end(signal.SIGTERM) == 0


@LINUX_ONLY
def test_nothing_survives_a_kill_and_the_state_does(start: Callable[..., Run]) -> None:
    """When the command itself is killed, its processes end on their own, the embedded AWS after saving."""
    first = start()
    job = finished_job(first.up())
    pids = first.descendants()
    first.process.kill()
    first.process.wait()
    wait_until(lambda: all_gone(pids), STOP_SECONDS)

    second = start()
    url = second.up()
    assert requests.get(f"{url}/jobs/{job['jobId']}", timeout=10).json()["status"] == "succeeded"
    assert job_counts(url) == {"succeeded": 1}  # though it may not have been counted when the end came
    assert second.end() == 0


def job_counts(url: str) -> dict[str, int]:
    """Read how many jobs there are, by those statuses that any job has."""
    jobs: dict[str, int] = requests.get(f"{url}/stats", timeout=10).json()["jobs"]
    assert jobs.pop("total") == sum(jobs.values())
    return {status: count for status, count in jobs.items() if count}


def assert_kept(start: Callable[..., Run], job: dict[str, Any]) -> None:
    """Check that the next run on the same folder has a job of the last one."""
    run = start()
    assert requests.get(f"{run.up()}/jobs/{job['jobId']}", timeout=10).json()["status"] == "succeeded"
    assert run.end() == 0


def test_a_second_ctrl_c_waits_only_for_the_state(start: Callable[..., Run]) -> None:
    """Work under way is cut off, while a request is being answered too; what was done before is kept."""
    run = start()
    url = run.up()
    job = finished_job(url)
    body = {"workflowId": "icon_512", "inputs": {"prompt": "a key", "steps": 80}}
    going_on = requests.post(f"{url}/jobs", json=body, timeout=10).json()["pollUrl"]
    with ThreadPoolExecutor() as clients:
        waiting = clients.submit(requests.get, f"{url}{going_on}?wait=25", timeout=30)
        run.process.send_signal(signal.SIGINT)
        wait_until(lambda: "Stopping" in run.text, 2)
        time.sleep(0.3)  # as a person does; within a moment it would count once
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert run.end() == 0  # which sends a third one
        assert waiting.exception() or waiting.result().status_code == 200
    assert "may be lost" not in run.text
    assert_kept(start, job)


def test_a_signal_that_comes_twice_at_once_counts_once(start: Callable[..., Run]) -> None:
    """`make` passes SIGTERM on to a process that has got it from its group as well."""
    run = start()
    job = finished_job(run.up())
    run.process.send_signal(signal.SIGTERM)
    time.sleep(0.01)  # or the kernel makes one of them
    assert run.end(signal.SIGTERM) == 0
    assert_kept(start, job)


def test_a_closed_terminal_is_an_orderly_end(start: Callable[..., Run]) -> None:
    """Shell and kernel each send SIGHUP, and nothing can be printed any more: what was done is kept all the same."""
    master, terminal = pty.openpty()
    run = start(terminal=terminal)
    os.close(terminal)
    url = f"http://127.0.0.1:{run.environment['PORT']}"
    wait_until(lambda: is_responding(f"{url}/health"), START_SECONDS)
    job = finished_job(url)
    os.close(master)
    assert run.end(signal.SIGHUP) == 0
    assert_kept(start, job)


def test_state_that_could_not_be_saved_is_a_failure(start: Callable[..., Run]) -> None:
    """It is told, and the exit code tells it too."""
    run = start()
    run.up()
    state = Path(run.environment["DATA_DIR"]) / "aws" / "services"
    shutil.rmtree(state, ignore_errors=True)
    state.write_text("a file where the folder should be")
    assert run.end() == 1
    assert "may be lost" in run.text


def test_ctrl_c_while_it_starts_stops_it(start: Callable[..., Run]) -> None:
    """It need not be up before it can be stopped."""
    run = start()
    wait_until(lambda: "Starting" in run.text, START_SECONDS)
    assert run.end() == 0
    assert "is running at" not in run.text
