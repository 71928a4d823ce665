"""Tests the compose file as far as possible without a container engine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import compose_spec
import pytest
import requests
import yaml  # type: ignore[import-untyped]

from gateway.aws.clients import Clients
from gateway.settings import ApiSettings, ExecutorSettings, LocalSettings, OutputBucketSettings
from local.child_process import is_responding
from local.emulator import Emulator
from tests.docs.pages import ROOT
from tests.local.command import START_SECONDS, GatewayProcess, finished_job, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
OURS = {name.upper() for host in (ApiSettings, ExecutorSettings, LocalSettings) for name in host.model_fields}
GIVEN = {
    "API_KEYS": "a-key-of-an-admin:admin",
    "S3_ACCESS_KEY": "store-key",
    "S3_SECRET_KEY": "store-secret",
    "COMFYUI_VERSION": "v1",
}


def filled(text: str) -> str:
    """Substitute variables as Compose does: `${NAME:?}` is required, `${NAME:-value}` has a default."""
    text = re.sub(r"\$\{(\w+):\?\}", lambda match: GIVEN[match[1]], text)
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_the_file_follows_the_compose_specification() -> None:
    """Every key and every value is valid, and every named volume is declared."""
    parsed = compose_spec.PyCompose.from_yaml(filled(yaml.safe_dump(yaml.safe_load(TEXT))))
    assert set(parsed.service_names()) == set(SERVICES)
    named = {volume.partition(":")[0] for each in SERVICES.values() for volume in each.get("volumes", ())}
    assert {name for name in named if name[0].isalpha()} == set(yaml.safe_load(TEXT)["volumes"])


def test_services_share_one_network_that_is_bound_to_loopback() -> None:
    """One service publishes all ports, on loopback; every dependency has a health check."""
    assert [name for name, each in SERVICES.items() if each.get("network_mode") != "service:network"] == ["network"]
    assert [name for name, each in SERVICES.items() if "ports" in each] == ["network"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["network"]["ports"])
    for each in SERVICES.values():
        for dependency in each.get("depends_on", {}):
            assert "healthcheck" in SERVICES[dependency] or "\nHEALTHCHECK " in dockerfile(dependency).read_text()


def dockerfile(service: str) -> Path:
    """Return the Dockerfile of a service."""
    build = SERVICES[service]["build"]
    return ROOT / str(build["context"]) / str(build.get("dockerfile", "Dockerfile"))


def test_images_are_pinned_or_built_here() -> None:
    """Images that are not built here have a digest, and every Dockerfile exists."""
    for name, each in SERVICES.items():
        if "build" in each:
            assert dockerfile(name).is_file()
        else:
            assert re.fullmatch(r"[a-z0-9./-]+@sha256:[0-9a-f]{64}", each["image"])


def test_variables_are_settings_and_the_file_has_no_secrets() -> None:
    """Services only set existing settings, and secrets come from the environment; the store has its own variables."""
    for name, each in SERVICES.items():
        given = each.get("environment", {})
        assert set(given) <= ({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} if name == "store" else OURS)
        secrets = {variable: value for variable, value in given.items() if "KEY" in variable or "SECRET" in variable}
        assert all(re.fullmatch(r"\$\{[A-Z0-9_]+:\?\}", value) for value in secrets.values())


@pytest.mark.slow
def test_the_services_work_together_as_plain_processes(tmp_path: Path) -> None:
    """Gateway, store, two ComfyUIs and the second executor run with the file's commands and variables."""
    with ExitStack() as stack:
        store = stack.enter_context(Emulator(state_dir=None, work_dir=tmp_path))
        addresses = {
            "http://127.0.0.1:8333": store.endpoint_url,
            GIVEN["S3_ACCESS_KEY"]: store.environment["AWS_ACCESS_KEY_ID"],
            GIVEN["S3_SECRET_KEY"]: store.environment["AWS_SECRET_ACCESS_KEY"],
        }
        s3 = Clients(OutputBucketSettings.from_environment(variables("gateway", addresses))).output_s3
        stack.callback(s3.close)
        s3.create_bucket(Bucket=SERVICES["gateway"]["environment"]["S3_BUCKET"])
        comfyuis = {f"http://127.0.0.1:{port}": f"http://127.0.0.1:{free_port()}" for port in (8188, 8189)}
        for url in comfyuis.values():
            stack.enter_context(running(tmp_path, "comfyui_simulator", "--port", url.rpartition(":")[2]))
        wait_until(lambda: all(is_responding(f"{url}/system_stats") for url in comfyuis.values()), START_SECONDS)
        addresses |= comfyuis

        gateway = GatewayProcess(
            tmp_path / "output",
            DATA_DIR=str(tmp_path / "data"),
            **variables("gateway", addresses) | {"HOST": "127.0.0.1"},
        )
        stack.callback(gateway.end)
        url = gateway.up()
        assert "simulated" not in gateway.text
        shell, flag, command = SERVICES["executor"]["entrypoint"]
        command = command.replace("/data/", f"{tmp_path}/data/").replace("python ", f"{sys.executable} ")
        given = variables("executor", addresses) | {"SHUTDOWN_GRACE_SECONDS": "0"}
        stack.enter_context(running(tmp_path, command=[shell, flag, command], **given))
        key = {"X-API-Key": GIVEN["API_KEYS"].partition(":")[0]}

        def executors() -> list[str]:
            listed = requests.get(f"{url}/health", headers=key, timeout=10).json()["executors"]
            return sorted(each["comfyui"]["url"] for each in listed if each["comfyui"]["reachable"])

        wait_until(lambda: executors() == sorted(comfyuis.values()), START_SECONDS)
        (output,) = finished_job(url, **key)["outputs"]
        assert output["downloadUrl"].startswith(f"{store.endpoint_url}/outputs/")
        assert len(requests.get(output["downloadUrl"], timeout=10).content) == output["size"]
        (stored,) = s3.list_objects_v2(Bucket="outputs")["Contents"]
        assert stored["Key"] == output["storagePath"]


def variables(service: str, addresses: dict[str, str]) -> dict[str, Any]:
    """Return a service's environment, with its addresses replaced by those of this test."""
    given = {name: filled(value) for name, value in SERVICES[service]["environment"].items()}
    return {name: addresses.get(value, value) for name, value in given.items()}


@contextmanager
def running(folder: Path, *module: str, command: list[str] | None = None, **given: str) -> Iterator[None]:
    """Run a process until the block ends."""
    words = command or [sys.executable, "-m", *module]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(folder), **given}
    with (folder / "processes.log").open("a") as log:
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log)  # noqa: S603  ours
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)
