"""Local mode as a person runs it: the command in its own process, and the settings it rejects."""

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
from unittest import mock

import jwt
import pytest
import requests

from gateway.aws.clients import Clients
from gateway.aws.dynamodb.job_store import DynamoJobStore
from gateway.clock import SYSTEM_CLOCK
from gateway.errors import SettingsInvalidError
from gateway.settings import LocalSettings
from local import supervisor
from local.banner import Command
from local.supervisor import Supervisor
from tests.component.samples import new_job
from tests.local.command import (
    LINUX_ONLY,
    START_SECONDS,
    GatewayProcess,
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
def test_an_ephemeral_run_works_and_leaves_nothing(start: Callable[..., GatewayProcess], tmp_path: Path) -> None:
    """The printed curl command works; Ctrl-C stops all processes in time; no folder remains."""
    run = start("--ephemeral", TMPDIR=str(tmp_path))
    url = run.up()
    assert "placeholders" in run.text
    assert requests.get(re.findall(r"Docs +(\S+)", run.text)[0], timeout=5).status_code == 200
    assert "\x1b" not in run.text
    command = next(line for line in run.text.splitlines() if line.startswith("  curl") and "/jobs " in line)
    if shutil.which("curl"):
        posted = subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=20)  # noqa: S603, S607  as a person does
        job_url = f"{url}{json.loads(posted.stdout)['pollUrl']}?wait=25"
        assert requests.get(job_url, timeout=30).json()["status"] == "succeeded"
    pids = run.descendants()
    assert run.end() == 0
    assert all_gone(pids)
    assert not list(tmp_path.glob("comfyui-gateway-*"))
    assert not (tmp_path / "data").exists()


MODULES = {
    "executor": "executor",
    "simulator": "comfyui_simulator",
    "api": "local.api_main",
    "events": "local.event_sources",
    "embedded AWS": "local.ministack_process",
}


def process_of(run: GatewayProcess, module: str) -> int:
    """Return the id of the first process that runs a module."""
    for pid in sorted(run.descendants()):
        if module in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
            return pid
    raise AssertionError(f"{module} is not running")


def status_of(url: str, job_id: str) -> str | None:
    """Return the status of a job; None while the gateway cannot tell it."""
    try:
        status: str | None = requests.get(f"{url}/jobs/{job_id}", timeout=10).json().get("status")
    except (requests.RequestException, ValueError):
        return None
    return status


@LINUX_ONLY
@pytest.mark.slow
def test_processes_that_die_are_restarted(start: Callable[..., GatewayProcess]) -> None:
    """Each once, while a job runs and another waits: both end well, and the terminal reports each exit."""
    run = start(LEASE_SECONDS="2")
    url = run.up()
    for name in MODULES:
        outlives(run, url, name)
    assert run.end() == 0


def outlives(run: GatewayProcess, url: str, name: str) -> None:
    """Kill a process and check that two jobs succeed."""
    body = {"workflowId": "icon_512", "inputs": {"prompt": "a key", "steps": 40, "seed": -1}}
    jobs = [requests.post(f"{url}/jobs", json=body, timeout=10).json()["jobId"] for _ in range(2)]
    wait_until(lambda: status_of(url, jobs[0]) == "running", 20)
    if name == "embedded AWS":  # the last two seconds may be lost: wait until its state has been saved
        saved, now = Path(run.environment["DATA_DIR"], "aws/services/dynamodb.json"), time.time()
        wait_until(lambda: saved.exists() and saved.stat().st_mtime > now + 1, 20)
    os.kill(process_of(run, MODULES[name]), signal.SIGKILL)
    wait_until(lambda: f"The {name} process was started again." in run.text, 20)
    wait_until(lambda: [status_of(url, job_id) for job_id in jobs] == ["succeeded"] * 2, 60)
    assert re.search(rf"The {name} process was killed by SIGKILL.*\.log", run.text)


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a ComfyUI of the user; return its URL."""
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
def running(comfyui: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Run a gateway with a ComfyUI and API keys."""
    folder = tmp_path_factory.mktemp("running")
    run = GatewayProcess(
        folder / "output",
        DATA_DIR=str(folder / "data"),
        COMFYUI_URL=f"{comfyui}/",
        API_KEYS="s3cret-key-number-one:admin,s3cret-key-number-two:user",
    )
    run.up()
    yield run
    assert run.end() == 0


def test_a_running_comfyui_is_used(running: GatewayProcess, comfyui: str) -> None:
    """Then there is no simulator, and the banner does not mention placeholders."""
    assert f"{comfyui}\n" in running.text
    assert "placeholder" not in running.text
    assert not (Path(running.environment["DATA_DIR"]) / "logs" / "simulator.log").exists()
    finished_job(running.up(), **{"X-API-Key": "s3cret-key-number-one"})


@LINUX_ONLY
def test_keys_are_required_and_never_shown(running: GatewayProcess) -> None:
    """With API_KEYS a request needs one of them; no output, log or environment of a child process contains any."""
    url = running.up()
    assert requests.get(f"{url}/workflows", timeout=10).status_code == 401
    assert (
        requests.get(f"{url}/workflows", headers={"X-API-Key": "s3cret-key-number-two"}, timeout=10).status_code == 200
    )
    assert '-H "X-API-Key: $COMFYUI_GATEWAY_API_KEY"' in running.text
    environments = [Path(f"/proc/{pid}/environ").read_text() for pid in running.descendants()]
    logs = [log.read_text() for log in (Path(running.environment["DATA_DIR"]) / "logs").iterdir()]
    assert environments
    assert not any("s3cret" in text for text in [running.text, *environments, *logs])


@LINUX_ONLY
def test_event_functions_run(running: GatewayProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead letter ends its job, as on AWS."""
    url = running.up()
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in running.descendants()}
    (pid,) = [pid for pid, command in commands.items() if "local.event_sources" in command]
    lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
    variables = dict(line.split("=", 1) for line in lines if line)
    for name in (name for name in variables if name.startswith("AWS_")):
        monkeypatch.setenv(name, variables[name])
    clients, job = Clients(), new_job(created_at=SYSTEM_CLOCK.now())
    DynamoJobStore(clients.dynamodb, variables["TABLE_NAME"], 30).create(job)
    dead_letters = variables["NORMAL_DEAD_LETTER_QUEUE_URL"]
    clients.sqs.send_message(QueueUrl=dead_letters, MessageBody=json.dumps({"jobId": job.id}))
    ended = requests.get(
        f"{url}/jobs/{job.id}?wait=25", headers={"X-API-Key": "s3cret-key-number-one"}, timeout=30
    ).json()
    assert (ended["status"], ended["error"]["code"]) == ("failed", "EXECUTOR_LOST")


def bearer(subject: str, secret: str) -> dict[str, str]:
    """Return the header that authenticates a user."""
    claims = {"sub": subject, "role": "user", "exp": int(time.time()) + 60}
    return {"Authorization": f"Bearer {jwt.encode(claims, secret)}"}


@LINUX_ONLY
def test_a_jwt_secret_closes_open_access(start: Callable[..., GatewayProcess], tmp_path: Path) -> None:
    """Without keys, but with a secret, a request needs a token; only the API process gets the secret, and no log."""
    secret = "s3cret of thirty-two bytes or more"
    limit = {"RATE_LIMIT_MAX": "20", "RATE_LIMIT_WINDOW_MS": "86400000"}
    run = start("--ephemeral", JWT_SECRET=secret, TMPDIR=str(tmp_path), **limit)
    url = run.up()
    assert "Open" not in run.text
    assert '-H "Authorization: Bearer $COMFYUI_GATEWAY_TOKEN"' in run.text
    assert requests.get(f"{url}/workflows", timeout=10).status_code == 401
    finished_job(url, **bearer("ada", secret))
    with ThreadPoolExecutor(8) as clients:  # and the rate limit holds across the processes of the API
        sent = [clients.submit(requests.get, f"{url}/workflows", headers=bearer("bob", secret)) for _ in range(64)]
    assert sorted(response.result().status_code for response in sent) == [200] * 20 + [429] * 44
    with_secret = [pid for pid in run.descendants() if "s3cret" in Path(f"/proc/{pid}/environ").read_text()]
    assert with_secret
    assert all("local.api_main" in Path(f"/proc/{pid}/cmdline").read_text() for pid in with_secret)
    logs = [log.read_text() for log in tmp_path.glob("comfyui-gateway-*/logs/*.log")]
    assert logs
    assert not any("s3cret" in text for text in [run.text, *logs])


def store_keys(emulator: Emulator) -> dict[str, str]:
    """Return the settings with which an emulator is the user's own store."""
    environment = emulator.environment
    return {
        "S3_ACCESS_KEY": environment["AWS_ACCESS_KEY_ID"],
        "S3_SECRET_KEY": environment["AWS_SECRET_ACCESS_KEY"],
    }


def test_outputs_can_be_stored_in_another_bucket(
    start: Callable[..., GatewayProcess], emulator: Emulator, aws: dict[str, str], aws_clients: Clients
) -> None:
    """With S3_ENDPOINT, outputs are written and read there, with its own keys; nothing else is stored there."""
    store = {"S3_ENDPOINT": emulator.endpoint_url, "S3_BUCKET": aws["BUCKET_NAME"], "S3_REGION": "us-east-1"}
    url = start("--ephemeral", **store_keys(emulator), LOG_LEVEL="warn", **store).up()
    (output,) = finished_job(url)["outputs"]
    (stored,) = aws_clients.s3.list_objects_v2(Bucket=aws["BUCKET_NAME"])["Contents"]
    assert (stored["Key"], stored["Size"]) == (output["storagePath"], output["size"])
    assert output["downloadUrl"].startswith(f"{emulator.endpoint_url}/{aws['BUCKET_NAME']}/")
    for address in (output["downloadUrl"], f"{url}{output['url']}"):
        assert len(requests.get(address, timeout=10).content) == output["size"]


def refusal(**variables: str) -> str:
    """Start a run with wrong settings, in this process; return the error that stops it before any child starts."""
    variables.setdefault("PORT", str(free_port()))
    command = Command(program="", default_url="", api_key_variable="", token_variable="")

    def run() -> None:
        settings = LocalSettings.from_environment(variables)
        Supervisor(settings, variables, ephemeral=False, command=command).run()

    with (
        mock.patch.dict(os.environ),
        mock.patch.object(supervisor, "Emulator", side_effect=AssertionError("a child was started")),
        pytest.raises(SettingsInvalidError) as error,
    ):
        run()
    return error.value.message


def test_a_missing_bucket_is_an_error_before_the_start(emulator: Emulator, tmp_path: Path) -> None:
    """So are a store that does not respond, and a bucket with only a part of its settings."""
    keys = {**store_keys(emulator), "DATA_DIR": str(tmp_path)}
    assert refusal(S3_ENDPOINT=emulator.endpoint_url, S3_BUCKET="missing", **keys).startswith("S3_BUCKET: ")
    assert refusal(S3_ENDPOINT=f"http://127.0.0.1:{free_port()}", S3_BUCKET="b", **keys).startswith("S3_ENDPOINT: ")
    assert refusal(S3_BUCKET="b").startswith("S3_ACCESS_KEY: ")
    assert refusal(S3_ENDPOINT=emulator.endpoint_url, **keys).startswith("S3_BUCKET: ")


def test_a_folder_in_use_is_an_error(running: GatewayProcess) -> None:
    """Two runs never share a folder, and the first one is not disturbed."""
    assert refusal(DATA_DIR=running.environment["DATA_DIR"]).startswith("DATA_DIR: ")
    assert requests.get(f"{running.up()}/health", timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("COMFYUI_URL", "127.0.0.1:8188"),
        ("PORT", "99999"),
        ("HOST", "no.such.host.invalid"),
        ("HOST", "192.0.2.1"),  # an address of another machine
        ("HOST", "0.0.0.0"),  # noqa: S104  rejected without keys
        ("DATA_DIR", "/dev/null/data"),
        ("API_KEYS", "key-number-one-of-two:admin,:user"),
        ("API_KEYS", "s3cret-of-16-chars:king"),
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
def test_a_wrong_setting_is_named(tmp_path: Path, variable: str, value: str) -> None:
    """The error starts with the variable and shows no secret."""
    keys = {"API_KEYS": "a-key-of-an-admin:admin"} if variable == "HOST" and value != "0.0.0.0" else {}  # noqa: S104  as above
    message = refusal(**{"DATA_DIR": str(tmp_path), variable: value, **keys})
    assert message.startswith(f"{variable}: ")
    assert "s3cret" not in message


def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    """It is detected before anything is created, and the error names the option that selects another port."""
    data_dir = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        message = refusal(PORT=port, DATA_DIR=str(data_dir))
    assert message.startswith("PORT: ")
    assert "--port" in message
    assert not data_dir.exists()


def test_a_file_as_data_dir_is_an_error(tmp_path: Path) -> None:
    """DATA_DIR must be a folder."""
    (tmp_path / "file").touch()
    assert refusal(DATA_DIR=str(tmp_path / "file")).startswith(f"DATA_DIR: {tmp_path}/file ")


def test_data_of_another_release_is_an_error(tmp_path: Path) -> None:
    """It is not changed."""
    (tmp_path / "aws").mkdir()
    (tmp_path / "aws" / "tables").write_text("old")
    assert refusal(DATA_DIR=str(tmp_path)).startswith("DATA_DIR: ")
    assert (tmp_path / "aws" / "tables").read_text() == "old"


def test_the_command_reports_a_wrong_setting_in_one_line(start: Callable[..., GatewayProcess]) -> None:
    """The exit code is 1."""
    assert_refused(start(API_KEYS="s3cret-of-16-chars:king"), "API_KEYS")


def test_the_help_of_the_worker_lists_its_settings() -> None:
    """And the page with all others."""
    run = subprocess.run([sys.executable, "-m", "cli", "worker", "--help"], capture_output=True, check=True)
    for name in (
        b"TABLE_NAME",
        b"EVENT_BUS_NAME",
        b"LOW_QUEUE_URL",
        b"AWS_REGION",
        b"COMFYUI_URL",
        b"docs/configuration.md",
    ):
        assert name in run.stdout


def test_a_worker_without_settings_is_an_error() -> None:
    """One line names all wrong settings, and no secret."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith(("_NAME", "_QUEUE_URL"))}
    run = subprocess.run(
        [sys.executable, "-m", "cli", "worker"],
        capture_output=True,
        check=False,
        env={**environment, "LOG_LEVEL": "s3cret"},
        timeout=20,
    )
    assert run.returncode == 1
    assert b"TABLE_NAME: " in run.stderr
    assert b"LOG_LEVEL: " in run.stderr
    assert b"s3cret" not in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_the_version() -> None:
    """`--version` prints it and nothing else."""
    run = subprocess.run([sys.executable, "-m", "cli", "--version"], capture_output=True, check=True)
    assert re.fullmatch(rb"\d+\.\d+\.\d+\n", run.stdout)


@LINUX_ONLY
def test_the_folder_of_the_start_runs_no_code(start: Callable[..., GatewayProcess], tmp_path: Path) -> None:
    """Neither a module in it, nor a variable of its .env; DATA_DIR is readable by its user only."""
    folder = tmp_path / "cloned"
    folder.mkdir()
    ran = folder / "ran"
    code = f"open({str(ran)!r}, 'w').write(__name__)\n"
    for name in ("sitecustomize", "usercustomize", "hypercorn", "gunicorn", "aiohttp", "boto3", "queue", "local"):
        (folder / f"{name}.py").write_text(code)
    (folder / ".env").write_text(f"PYTHONPATH={folder}\nPYTHONSTARTUP={folder}/queue.py\nLD_PRELOAD={folder}/x.so\n")
    run = start(cwd=folder)
    finished_job(run.up())
    assert not ran.exists()
    for name in ("PYTHONPATH", "PYTHONSTARTUP", "LD_PRELOAD"):
        assert re.search(rf"\.env: {name} is not a setting", run.text)
    data = Path(run.environment["DATA_DIR"])
    exposed = [path for path in (data, *data.rglob("*")) if path.stat().st_mode & 0o077 and not path.is_symlink()]
    assert exposed == []
