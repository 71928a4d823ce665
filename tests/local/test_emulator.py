from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import requests

from gateway.aws.clients import Clients
from local.child_process import ChildFailedError
from local.emulator import Emulator

if TYPE_CHECKING:
    from pathlib import Path


def test_presigned_urls_open_what_they_name_and_nothing_else(aws: dict[str, str], aws_clients: Clients) -> None:
    """A plain GET of a presigned URL works; one that was changed is refused, as on AWS."""
    aws_clients.s3.put_object(Bucket=aws["BUCKET_NAME"], Key="outputs/a.txt", Body=b"hello")
    url = aws_clients.s3.generate_presigned_url("get_object", {"Bucket": aws["BUCKET_NAME"], "Key": "outputs/a.txt"})
    assert requests.get(url, timeout=5).content == b"hello"
    assert requests.get(url.replace("a.txt", "b.txt"), timeout=5).status_code == 403


def test_it_is_reached_from_this_machine_only(emulator: Emulator) -> None:
    """It listens on 127.0.0.1 alone, as it checks no credentials."""
    port = int(emulator.endpoint_url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=2)


def test_the_persons_own_variables_do_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variables have common names; a SERVICES or USE_SSL that means something else must not change it."""
    monkeypatch.setenv("USE_SSL", "1")
    monkeypatch.setenv("SERVICES", "none")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Emulator(state_dir=None, work_dir=tmp_path) as emulator:
        assert emulator.answers()


def test_an_early_end_is_told_with_the_log(tmp_path: Path) -> None:
    """When it cannot start, the error says where its log is."""
    emulator = Emulator(state_dir=None, work_dir=tmp_path)
    emulator.child.kill()
    with pytest.raises(ChildFailedError, match=rf"^embedded AWS .* -9 .*{tmp_path}/aws.log"):
        emulator.__enter__()


def test_a_stop_says_whether_state_was_saved(tmp_path: Path) -> None:
    """An emulator that has to be killed is no clean stop."""
    emulator = Emulator(state_dir=tmp_path / "state", work_dir=tmp_path)
    with emulator:
        os.kill(emulator.child.pid, signal.SIGSTOP)
        assert not emulator.stop(seconds=0.2)


def test_a_state_that_cannot_be_written_is_no_clean_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one that ends in time but could not write, on a full disk or in a folder that is gone."""
    (tmp_path / "state").write_text("a file where the folder should be")
    with Emulator(state_dir=tmp_path / "state", work_dir=tmp_path) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        sqs = Clients().sqs
        sqs.create_queue(QueueName="any")
        sqs.close()
        assert not emulator.stop()


def test_what_streams_tell_does_not_fill_the_memory() -> None:
    """It is forgotten after five minutes; every request adds to it, and a run can last for weeks."""
    code = (
        "import time\n"
        "from local import ministack_process\n"
        "from ministack.services import dynamodb\n"
        "told = [{'dynamodb': {'ApproximateCreationDateTime': time.time() - age}} for age in (400, 301, 200, 0)]\n"
        "dynamodb._stream_records['t'] = told\n"
        "print(len(dynamodb.stream_live_records('t')), dynamodb.stream_start_position('t'))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603  no input
    assert run.stdout.split() == ["2", "2"]
