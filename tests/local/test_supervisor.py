"""Local mode as a person runs it: the real command, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import jwt
import pytest
import requests

from gateway.aws.clients import Clients
from gateway.aws.dynamodb.job_store import DynamoJobStore
from gateway.domain import timestamps
from tests.component.samples import new_job
from tests.local.command import (
    LINUX_ONLY,
    START_SECONDS,
    STOP_SECONDS,
    Run,
    all_gone,
    assert_refused,
    finished_job,
    free_port,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.emulator import Emulator


@LINUX_ONLY
def test_an_ephemeral_run_works_and_leaves_nothing(start: Callable[..., Run], tmp_path: Path) -> None:
    """The printed command works as pasted; Ctrl-C ends all processes in time; no folder stays behind."""
    run = start("--ephemeral", TMPDIR=str(tmp_path))
    url = run.up()
    assert "Images are placeholders" in run.text
    assert requests.get(re.findall(r"Docs +(\S+)", run.text)[0], timeout=5).status_code == 200
    assert "\x1b" not in run.text
    command = next(line for line in run.text.splitlines() if line.startswith("  curl") and "/jobs " in line)
    if shutil.which("curl"):
        answer = subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=20)  # noqa: S603, S607  as a person does
        job_url = f"{url}{json.loads(answer.stdout)['pollUrl']}?wait=25"
        assert requests.get(job_url, timeout=30).json()["status"] == "succeeded"
    pids = run.descendants()
    assert run.end() == 0
    assert all_gone(pids)
    assert not list(tmp_path.glob("comfyui-gateway-*"))
    assert not (tmp_path / "data").exists()


@LINUX_ONLY
def test_a_process_that_dies_ends_the_run(start: Callable[..., Run]) -> None:
    """Its name, how it ended and its log file are told, everything else is stopped, and the run has failed."""
    run = start()
    run.up()
    pids = run.descendants()
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in pids}
    os.kill(min(pid for pid, command in commands.items() if "executor" in command), signal.SIGKILL)
    assert run.process.wait(timeout=STOP_SECONDS + 1) == 1
    assert "comfyui-gateway: executor ended with exit code -9 (log: " in run.text
    wait_until(lambda: all_gone(pids), 1)


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of something that answers as ComfyUI does."""
    port = free_port()
    log = tmp_path_factory.mktemp("comfyui") / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(  # noqa: S603  the simulator
            [sys.executable, "-m", "comfyui_simulator", "--port", str(port)], stdout=stream, stderr=stream
        )
    wait_until(lambda: "simulator at" in log.read_text(), START_SECONDS)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


@pytest.fixture(scope="module")
def running(comfyui: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Give a run that has a ComfyUI and keys."""
    folder = tmp_path_factory.mktemp("running")
    run = Run(
        folder / "output",
        DATA_DIR=str(folder / "data"),
        COMFYUI_URL=f"{comfyui}/",
        API_KEYS="s3cret-one:admin,s3cret-two:user",
    )
    run.up()
    yield run
    assert run.end() == 0


def test_a_comfyui_that_answers_is_used(running: Run, comfyui: str) -> None:
    """Then there is no simulator and no word of placeholders."""
    assert f"{comfyui}\n" in running.text
    assert "placeholder" not in running.text
    assert not (Path(running.environment["DATA_DIR"]) / "logs" / "simulator.log").exists()
    finished_job(running.up(), **{"X-API-Key": "s3cret-one"})


@LINUX_ONLY
def test_keys_are_asked_for_and_never_shown(running: Run) -> None:
    """With API_KEYS a request needs one of them; no output, log or environment of a process it started has any."""
    url = running.up()
    assert requests.get(f"{url}/workflows", timeout=10).status_code == 401
    assert requests.get(f"{url}/workflows", headers={"X-API-Key": "s3cret-two"}, timeout=10).status_code == 200
    assert '-H "X-API-Key: $COMFYUI_GATEWAY_API_KEY"' in running.text
    environments = [Path(f"/proc/{pid}/environ").read_text() for pid in running.descendants()]
    logs = [log.read_text() for log in (Path(running.environment["DATA_DIR"]) / "logs").iterdir()]
    assert environments
    assert not any("s3cret" in text for text in [running.text, *environments, *logs])


@LINUX_ONLY
def test_functions_that_no_request_calls_run(running: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead letter ends its job there as it does on AWS."""
    url = running.up()
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in running.descendants()}
    (pid,) = [pid for pid, command in commands.items() if "local.event_sources" in command]
    lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
    variables = dict(line.split("=", 1) for line in lines if line)
    for name in (name for name in variables if name.startswith("AWS_")):
        monkeypatch.setenv(name, variables[name])
    clients, job = Clients(), new_job(created_at=timestamps.now())
    DynamoJobStore(clients.dynamodb, variables["TABLE_NAME"], 30).create(job)
    dead_letters = variables["NORMAL_DEAD_LETTER_QUEUE_URL"]
    clients.sqs.send_message(QueueUrl=dead_letters, MessageBody=json.dumps({"jobId": job.id}))
    ended = requests.get(f"{url}/jobs/{job.id}?wait=25", headers={"X-API-Key": "s3cret-one"}, timeout=30).json()
    assert (ended["status"], ended["error"]["code"]) == ("failed", "EXECUTOR_LOST")


def bearer(subject: str, secret: str) -> dict[str, str]:
    """Make the header by which a user signs in."""
    claims = {"sub": subject, "role": "user", "exp": int(time.time()) + 60}
    return {"Authorization": f"Bearer {jwt.encode(claims, secret)}"}


@LINUX_ONLY
def test_a_jwt_secret_closes_open_access(start: Callable[..., Run], tmp_path: Path) -> None:
    """Without keys, but with a secret, a request needs a token; only the front knows the secret, and no log does."""
    secret = "s3cret of thirty-two bytes or more"
    limit = {"RATE_LIMIT_MAX": "20", "RATE_LIMIT_WINDOW_MS": "86400000"}
    run = start("--ephemeral", JWT_SECRET=secret, TMPDIR=str(tmp_path), **limit)
    url = run.up()
    assert "Open" not in run.text
    assert '-H "Authorization: Bearer $COMFYUI_GATEWAY_TOKEN"' in run.text
    assert requests.get(f"{url}/workflows", timeout=10).status_code == 401
    finished_job(url, **bearer("ada", secret))
    with ThreadPoolExecutor(8) as clients:  # and the limit holds across the processes of the front
        sent = [clients.submit(requests.get, f"{url}/workflows", headers=bearer("bob", secret)) for _ in range(64)]
    assert sorted(answer.result().status_code for answer in sent) == [200] * 20 + [429] * 44
    knowing = [pid for pid in run.descendants() if "s3cret" in Path(f"/proc/{pid}/environ").read_text()]
    assert knowing
    assert all("local.api_main" in Path(f"/proc/{pid}/cmdline").read_text() for pid in knowing)
    logs = [log.read_text() for log in tmp_path.glob("comfyui-gateway-*/logs/*.log")]
    assert logs
    assert not any("s3cret" in text for text in [run.text, *logs])


def test_outputs_can_lie_in_a_bucket_of_ones_own(
    start: Callable[..., Run], emulator: Emulator, aws: dict[str, str], aws_clients: Clients
) -> None:
    """With S3_ENDPOINT they go there, by its own keys, and are read from there; nothing else is put there."""
    store = {"S3_ENDPOINT": emulator.endpoint_url, "S3_BUCKET": aws["BUCKET_NAME"], "S3_REGION": "us-east-1"}
    url = start("--ephemeral", S3_ACCESS_KEY="local", S3_SECRET_KEY="local", LOG_LEVEL="warn", **store).up()  # noqa: S106  the emulator's
    (output,) = finished_job(url)["outputs"]
    (stored,) = aws_clients.s3.list_objects_v2(Bucket=aws["BUCKET_NAME"])["Contents"]
    assert (stored["Key"], stored["Size"]) == (output["storagePath"], output["size"])
    assert output["downloadUrl"].startswith(f"{emulator.endpoint_url}/{aws['BUCKET_NAME']}/")
    for address in (output["downloadUrl"], f"{url}{output['url']}"):
        assert len(requests.get(address, timeout=10).content) == output["size"]


def test_a_bucket_that_is_not_there_is_one_line(start: Callable[..., Run], emulator: Emulator) -> None:
    """It is asked for before anything is started, and so is a store that does not answer."""
    keys = {"S3_ACCESS_KEY": "local", "S3_SECRET_KEY": "local"}
    assert_refused(start(S3_ENDPOINT=emulator.endpoint_url, S3_BUCKET="missing", **keys), "S3_BUCKET")
    assert_refused(start(S3_ENDPOINT=f"http://127.0.0.1:{free_port()}", S3_BUCKET="b", **keys), "S3_ENDPOINT")
    assert_refused(start(S3_BUCKET="b"), "S3_ACCESS_KEY")
    assert_refused(start(S3_ENDPOINT=emulator.endpoint_url, **keys), "S3_BUCKET")


def test_a_folder_in_use_is_one_line(running: Run, start: Callable[..., Run]) -> None:
    """Two runs never share a folder, and the first one is not disturbed."""
    assert_refused(start(DATA_DIR=running.environment["DATA_DIR"]), "DATA_DIR")
    assert requests.get(f"{running.up()}/health", timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("COMFYUI_URL", "127.0.0.1:8188"),
        ("PORT", "99999"),
        ("HOST", "no.such.host.invalid"),
        ("HOST", "0.0.0.0"),  # noqa: S104  it is refused: no keys
        ("DATA_DIR", "/dev/null/data"),
        ("API_KEYS", "one:admin,:user"),
        ("API_KEYS", "s3cret:king"),
        ("JWT_SECRET", "s3cret"),
        ("S3_BUCKET", "a b"),
        ("S3_SECRET_KEY", "s3cret"),
        ("LOG_LEVEL", "s3cret"),
        ("CORS_ORIGINS", "s3cret"),
        ("RATE_LIMIT_MAX", "-1"),
        ("MAX_BATCH_SIZE", "none"),
        ("RETENTION_DAYS", "0"),
        ("MAX_CONCURRENCY", "many"),
    ],
)
def test_a_wrong_setting_is_one_line(start: Callable[..., Run], variable: str, value: str) -> None:
    """It names the variable, shows no key, and the exit code is 1."""
    run = start(**{variable: value, **({"API_KEYS": "a:admin"} if value.startswith("no.such") else {})})
    assert_refused(run, variable)
    assert "s3cret" not in run.text


def test_a_taken_port_is_one_line(start: Callable[..., Run]) -> None:
    """It is found before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = start(PORT=str(taken.getsockname()[1]))
        assert_refused(run, "PORT")
    assert not Path(run.environment["DATA_DIR"]).exists()


def test_a_file_for_a_folder_is_one_line(start: Callable[..., Run], tmp_path: Path) -> None:
    """It says that it is one."""
    (tmp_path / "file").touch()
    run = start(DATA_DIR=str(tmp_path / "file"))
    assert_refused(run, "DATA_DIR")
    assert "is a file, not a folder" in run.text


def test_data_of_another_release_is_one_line(start: Callable[..., Run], tmp_path: Path) -> None:
    """It is left as it is."""
    (tmp_path / "aws").mkdir()
    (tmp_path / "aws" / "tables").write_text("old")
    run = start(DATA_DIR=str(tmp_path))
    assert_refused(run, "DATA_DIR")
    assert "another release" in run.text
    assert (tmp_path / "aws" / "tables").read_text() == "old"


def test_an_address_of_another_machine_is_one_line(start: Callable[..., Run]) -> None:
    """The port is not to blame."""
    assert_refused(start(HOST="192.0.2.1", API_KEYS="a:admin"), "HOST")


def test_the_worker_names_what_it_needs() -> None:
    """In its help, with the page that has the rest."""
    answer = subprocess.run([sys.executable, "-m", "cli.main", "worker", "--help"], capture_output=True, check=True)
    for name in (
        b"TABLE_NAME",
        b"EVENT_BUS_NAME",
        b"LOW_QUEUE_URL",
        b"AWS_REGION",
        b"COMFYUI_URL",
        b"docs/configuration.md",
    ):
        assert name in answer.stdout


def test_a_worker_without_settings_is_one_line() -> None:
    """`worker` alone says what it needs."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith(("_NAME", "_QUEUE_URL"))}
    answer = subprocess.run(
        [sys.executable, "-m", "cli.main", "worker"],
        capture_output=True,
        check=False,
        env={**environment, "LOG_LEVEL": "s3cret"},
        timeout=20,
    )
    assert answer.returncode == 1
    assert b"TABLE_NAME: is not set" in answer.stderr
    assert b"LOG_LEVEL: " in answer.stderr
    assert b"s3cret" not in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_the_version_is_told() -> None:
    """`--version` prints it and nothing else."""
    answer = subprocess.run([sys.executable, "-m", "cli.main", "--version"], capture_output=True, check=True)
    assert re.fullmatch(rb"\d+\.\d+\.\d+\n", answer.stdout)
