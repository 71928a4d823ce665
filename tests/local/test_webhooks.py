"""Local mode delivers webhooks through the same bus, queue and function as AWS."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import requests
from standardwebhooks import Webhook

from tests.local.command import assert_refused, wait_until
from tests.webhooks.receiver import Receiver, hangs, responds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.local.command import GatewayProcess

SECRET = "a secret of at least 24 bytes"


def accepted(url: str, callback_url: str) -> str:
    """Submit a job with a callback; return its id. All are equal, so only the first one runs."""
    inputs = {"prompt": "a key", "steps": 2, "seed": 7}
    body = {"workflowId": "icon_512", "inputs": inputs, "callbackUrl": callback_url}
    response = requests.post(f"{url}/jobs", json=body, timeout=10)
    assert response.status_code in (200, 202), response.text
    return str(response.json()["jobId"])


def run_operator_command(data: Path, command: str) -> str:
    """Run a command with the variables of the environment file; return its stdout."""
    script = f'. "$1/environment" && exec "$2" -m cli {command}'
    return subprocess.run(  # noqa: S603  our own script
        ["/bin/sh", "-c", script, "sh", data, sys.executable], capture_output=True, text=True, check=True, timeout=30
    ).stdout


def test_a_webhook_is_delivered(start: Callable[..., GatewayProcess], tmp_path: Path) -> None:
    """Signed with the generated secret; receivers that hang do not delay others."""
    url = start().up()
    with Receiver(hangs()) as dead, Receiver(responds(204)) as receiver:
        accepted(url, dead.url)
        wait_until(lambda: dead.received != [], 20)
        for _ in range(30):
            accepted(url, dead.url)
        job_id = accepted(url, receiver.url)
        wait_until(lambda: receiver.received != [], 5)
        (request,) = receiver.received
        secret = (tmp_path / "data" / "webhook-secret").read_text().strip()
        payload = Webhook(secret).verify(request.body, request.headers)
        assert (payload["event"], payload["jobId"]) == ("job.succeeded", job_id)
        assert requests.get(payload["result"]["outputs"][0]["downloadUrl"], timeout=10).content.startswith(b"\x89PNG")

        def state() -> object:
            return requests.get(f"{url}/jobs/{job_id}", timeout=10).json()["webhook"]

        wait_until(lambda: state() == {"status": "delivered", "attempts": 1, "lastStatusCode": 204}, 5)
        requests.post(f"{url}/jobs/{job_id}/deliveries", timeout=10).raise_for_status()
        wait_until(lambda: len(receiver.received) == 2, 5)
        assert len(set(receiver.ids)) == 1
    assert '"deadLetters": []' in run_operator_command(tmp_path / "data", "dead-letters list webhooks --json")


def test_other_machines_cannot_reach_local_receivers(start: Callable[..., GatewayProcess], tmp_path: Path) -> None:
    """Callers could reach other processes otherwise. No secret is generated when one is set."""
    run = start(HOST="0.0.0.0", API_KEYS="some-key-of-a-user:user", WEBHOOK_SECRET=SECRET)  # noqa: S104  the point of the test
    url, key = run.up(), {"X-API-Key": "some-key-of-a-user"}
    with Receiver(responds(204)) as receiver:
        response = requests.post(f"{url}/webhooks/test", json={"url": receiver.url}, headers=key, timeout=20)
    assert (response.status_code, receiver.connections) == (400, 0)
    assert not (tmp_path / "data" / "webhook-secret").exists()
    assert "signed with WEBHOOK_SECRET" in run.text


def test_a_short_secret_is_an_error(start: Callable[..., GatewayProcess]) -> None:
    """One line names the variable."""
    assert_refused(start(WEBHOOK_SECRET="x" * 23), "WEBHOOK_SECRET")
