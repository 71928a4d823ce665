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


def test_presigned_urls_are_checked(aws: dict[str, str], aws_clients: Clients) -> None:
    """A GET of a presigned URL works; a changed URL is rejected, as on AWS."""
    aws_clients.s3.put_object(Bucket=aws["BUCKET_NAME"], Key="outputs/a.txt", Body=b"hello")
    url = aws_clients.s3.generate_presigned_url("get_object", {"Bucket": aws["BUCKET_NAME"], "Key": "outputs/a.txt"})
    assert requests.get(url, timeout=5).content == b"hello"
    assert requests.get(url.replace("a.txt", "b.txt"), timeout=5).status_code == 403


def test_it_listens_on_loopback_only(emulator: Emulator) -> None:
    """Other machines must not reach it."""
    port = int(emulator.endpoint_url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=2)


def test_it_ignores_the_environment_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variables have common names; a SERVICES or USE_SSL that means something else must not change it."""
    monkeypatch.setenv("USE_SSL", "1")
    monkeypatch.setenv("SERVICES", "none")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Emulator(state_dir=None, work_dir=tmp_path) as emulator:
        assert emulator.is_ready()


def test_a_failed_start_reports_the_log(tmp_path: Path) -> None:
    """The error contains the path of the log."""
    emulator = Emulator(state_dir=None, work_dir=tmp_path)
    emulator.child.kill()
    with pytest.raises(ChildFailedError, match=rf"^embedded AWS .* -9 .*{tmp_path}/aws.log"):
        emulator.__enter__()


def test_a_killed_emulator_has_not_saved_its_state(tmp_path: Path) -> None:
    """`stop` returns False when it had to kill the process."""
    emulator = Emulator(state_dir=tmp_path / "state", work_dir=tmp_path)
    with emulator:
        os.kill(emulator.child.pid, signal.SIGSTOP)
        assert not emulator.stop(seconds=0.2)


def test_a_failed_save_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`stop` also returns False when the state could not be written, for example on a full disk."""
    (tmp_path / "state").write_text("a file where the folder should be")
    with Emulator(state_dir=tmp_path / "state", work_dir=tmp_path) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        sqs = Clients().sqs
        sqs.create_queue(QueueName="any")
        sqs.close()
        assert not emulator.stop()


def test_stream_records_expire() -> None:
    """After five minutes: every request adds records, and a run can last for weeks."""
    code = (
        "import time\n"
        "from local import ministack_process\n"
        "from ministack.services import dynamodb\n"
        "records = [{'dynamodb': {'ApproximateCreationDateTime': time.time() - age}} for age in (400, 301, 200, 0)]\n"
        "dynamodb._stream_records['t'] = records\n"
        "print(len(dynamodb.stream_live_records('t')), dynamodb.stream_start_position('t'))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603  no input
    assert run.stdout.split() == ["2", "2"]
