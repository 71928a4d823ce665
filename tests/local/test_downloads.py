"""Files of local mode are served by the gateway's own address."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.local.command import LINUX_ONLY, finished_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.command import GatewayProcess

pytestmark = [LINUX_ONLY, pytest.mark.slow]


def emulator_variables(run: GatewayProcess) -> dict[str, str]:
    """Return the environment of the API process."""
    for pid in run.descendants():
        if "local.api_main" in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
            lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
            return dict(line.split("=", 1) for line in lines if line)
    raise AssertionError("the API process is not running")


def test_a_download_url_reads_its_file(start: Callable[..., GatewayProcess]) -> None:
    """In whole and in ranges, by whichever name the gateway was reached, and after a restart; until it is changed."""
    run = start()
    url = run.up()
    job = finished_job(url)
    (output,) = job["outputs"]
    download = output["downloadUrl"]
    assert download.startswith(f"{url}/local-files/")
    whole = requests.get(download, timeout=10)
    assert (whole.status_code, len(whole.content)) == (200, output["size"])
    assert whole.headers["Content-Type"] == output["contentType"]
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert whole.headers["Content-Security-Policy"] == "sandbox"
    assert output["filename"] in whole.headers["Content-Disposition"]
    assert "Server" not in whole.headers
    part = requests.get(download, headers={"Range": "bytes=10-19"}, timeout=10)
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{output['size']}"
    beyond = requests.get(download, headers={"Range": f"bytes={output['size']}-"}, timeout=10)
    assert (beyond.status_code, beyond.content) == (416, b"")
    head = requests.head(download, timeout=10)
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(output["size"]), b"")
    unchanged = requests.get(download, headers={"If-None-Match": whole.headers["ETag"]}, timeout=10)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert requests.put(download, data=b"x", timeout=10).status_code == 405
    for changed in (download.replace(job["jobId"], "x"), download[:-1], download.partition("&")[0]):
        refused = requests.get(changed, timeout=10)
        assert (refused.status_code, refused.json()["error"]) == (403, "FORBIDDEN")
    by_name = requests.get(f"{url}/jobs/{job['jobId']}", headers={"Host": "localhost:1"}, timeout=10).json()
    assert by_name["outputs"][0]["downloadUrl"].startswith("http://localhost:1/local-files/")
    assert run.end() == 0
    again = start(PORT=url.rpartition(":")[2]).up()
    assert again == url
    assert requests.get(download, timeout=10).content == whole.content


def test_no_response_has_the_address_or_the_key_of_the_embedded_aws(start: Callable[..., GatewayProcess]) -> None:
    """Neither of any route nor in headers; and the public address is used where one is set."""
    run = start("--ephemeral", PUBLIC_URL="https://images.example.com/comfy")
    url = run.up()
    job: dict[str, Any] = finished_job(url)
    assert job["outputs"][0]["downloadUrl"].startswith("https://images.example.com/comfy/local-files/")
    variables = emulator_variables(run)
    secrets = [variables["AWS_ACCESS_KEY_ID"], variables["AWS_ENDPOINT_URL"].rpartition(":")[2]]
    responses = [
        requests.get(f"{url}{path}", timeout=10, allow_redirects=False)
        for path in (
            f"/jobs/{job['jobId']}", f"/jobs/{job['jobId']}/logs", f"/jobs/{job['jobId']}/deliveries", "/jobs",
            f"/outputs/{job['jobId']}", job["outputs"][0]["url"], f"{job['outputs'][0]['url']}?format=base64",
            "/health", "/capabilities", "/workflows", "/stats", "/audit", "/docs", "/nothing",
        )
    ]  # fmt: skip
    for response in responses:
        text = f"{response.text if 'image' not in response.headers['Content-Type'] else ''} {dict(response.headers)}"
        assert not [secret for secret in secrets if secret in text], response.url
    assert json.dumps(job).count("/local-files/") == 1
