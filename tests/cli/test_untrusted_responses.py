"""Servers that are slow, broken, not a gateway, or malicious: each command ends with one line and its exit code."""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from cli import job_wait
from cli.api import GatewayApi
from cli.connection import Connection
from cli.download import make_folder, save_outputs
from cli.exit_codes import CommandFailedError, ExitCode
from tests.cli.conftest import assert_refused, run
from tests.local.command import free_port
from tests.webhooks.receiver import Behavior, Receiver, drips, hangs, responds, sends
from tools.api_docs import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

JSON_TYPE = "Content-Type: application/json"


def returns_json(body: Mapping[str, Any], *headers: str, status: int = 200) -> Behavior:
    """Respond with JSON."""
    return responds(status, JSON_TYPE, *headers, body=json.dumps(body).encode())


def refuses(status: int, code: str, *headers: str, message: str = "No.") -> Behavior:
    """Respond with an error of a gateway."""
    body = {"error": code, "message": message, "details": None, "retryable": False, "correlationId": "c-1"}
    return returns_json(body, *headers, status=status)


def run_with(receiver: Receiver, *arguments: str) -> Any:  # noqa: ANN401  the result
    """Run a command with the receiver as its gateway."""
    return run(*arguments, "--url", f"http://127.0.0.1:{receiver.port}", "--api-key", "s3cret-key")


@pytest.fixture(autouse=True)
def short_timeouts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001  where the command runs
    """Shorten every wait."""
    monkeypatch.setattr("cli.http_client._READ_SECONDS", 0.5)
    monkeypatch.setattr("cli.http_client._TOTAL_SECONDS", 0.5)
    monkeypatch.setattr("cli.api._SUBMIT_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(job_wait, "_MAX_OUTAGE_SECONDS", 1)
    monkeypatch.setattr(job_wait, "_POLL_SECONDS", 0)


@pytest.mark.parametrize(
    ("behavior", "part"),
    [
        (responds(200, "Content-Type: text/html", body=b"<html>Welcome</html>"), "not a ComfyUI Gateway"),
        (responds(404, "Content-Type: text/html", body=b"<html>nginx</html>"), "status 404"),
        (responds(502, body=b""), "status 502"),
        (responds(200, JSON_TYPE, body=b"[]"), "not a ComfyUI Gateway"),
        (responds(200, JSON_TYPE, body=b"[" * 50_000), "not a ComfyUI Gateway"),
        (returns_json({"jobs": [{"jobId": 5}], "count": 1, "nextCursor": None}), "jobs.0"),
        (responds(302, "Location: https://elsewhere.example/"), "redirect"),
        (hangs(), "timeout"),
        (hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"), "Cannot reach a gateway"),
        (drips(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n", b" "), "takes longer than"),
        (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"), "cut off"),
        (sends(b""), "connection closed"),
        (sends(b"SSH-2.0-OpenSSH\r\n"), "connection closed"),
        (refuses(500, "INTERNAL_ERROR"), "correlation id c-1"),
    ],
    ids=[
        "html", "html-404", "empty-502", "list", "deep", "wrong-shape", "redirect", "silent", "stuck", "dripping",
        "cut", "closed", "no-http", "500",
    ],
)  # fmt: skip
def test_a_server_that_is_not_a_gateway_is_reported(behavior: Behavior, part: str) -> None:
    """With exit code 6, within the time limit, without the key."""
    with Receiver(behavior) as receiver:
        result = run_with(receiver, "jobs", "list")
    assert_refused(result, 6, part)
    assert "s3cret" not in result.output


def test_an_endless_body_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it is sent within the time limit."""
    monkeypatch.setattr("cli.http_client._MAX_BYTES", 100_000)
    with Receiver(responds(200, JSON_TYPE, body=b" " * 200_000)) as receiver:
        assert_refused(run_with(receiver, "jobs", "list"), 6, "more than 100000 bytes")


def test_a_refused_connection_is_reported_with_advice() -> None:
    """The advice: how to start a gateway, and how to select another one."""
    result = run("health", "--url", f"http://127.0.0.1:{free_port()}")
    assert_refused(result, 6, "connection refused", "comfyui-gateway run", "--url")
    assert_refused(run("health", "--url", "http://no-such-host.invalid"), 6, "cannot be resolved")


def test_a_gateway_without_tls_is_reported() -> None:
    """The error says that the server does not use TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def respond_without_tls() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=respond_without_tls)
        thread.start()
        result = run("health", "--url", f"https://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert_refused(result, 6, "http, not https")


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (400, "VALIDATION_ERROR", ExitCode.REFUSED),
        (401, "AUTH_FAILED", ExitCode.NOT_ALLOWED),
        (403, "FORBIDDEN", ExitCode.NOT_ALLOWED),
        (404, "JOB_NOT_FOUND", ExitCode.NOT_FOUND),
        (409, "CONFLICT", ExitCode.REFUSED),
        (413, "PAYLOAD_TOO_LARGE", ExitCode.REFUSED),
        (422, "IDEMPOTENCY_MISMATCH", ExitCode.REFUSED),
        (429, "RATE_LIMITED", ExitCode.TRY_LATER),
        (503, "COMFYUI_UNREACHABLE", ExitCode.UNREACHABLE),
    ],
)
def test_each_refusal_has_its_exit_code(status: int, code: str, exit_code: ExitCode) -> None:
    """Control characters are removed from the message."""
    with Receiver(refuses(status, code, message="No.\n\x1b[31mred\x07")) as receiver:
        assert_refused(run_with(receiver, "jobs", "list"), exit_code, "No. �[31mred�")


def test_a_submission_without_a_response_is_repeated() -> None:
    """With the same idempotency key, so that it is one job. An error response is not retried."""
    accepted = returns_json(examples.JOB_ACCEPTED, status=202)
    with Receiver(sends(b""), responds(502), accepted) as receiver:
        result = run_with(receiver, "submit", "w")
        assert (result.exit_code, result.stdout.strip()) == (0, examples.JOB_ID)
        assert len({request.headers["idempotency-key"] for request in receiver.received}) == 1
        assert {request.headers["x-api-key"] for request in receiver.received} == {"s3cret-key"}
        assert len(receiver.received) == 3
    with Receiver(refuses(429, "RATE_LIMITED")) as receiver:
        assert run_with(receiver, "submit", "w").exit_code == 8
        assert len(receiver.received) == 1


def test_waiting_continues_after_a_restart_of_the_gateway() -> None:
    """And after a rate limit. Each outage is reported once."""
    log, ended = returns_json(examples.JOB_LOG), returns_json(examples.JOB_SUCCEEDED)
    behaviors = (responds(503), refuses(429, "RATE_LIMITED", "Retry-After: 0"), ended, sends(b""), log)
    with Receiver(*behaviors) as receiver:
        result = run_with(receiver, "jobs", "wait", examples.JOB_ID)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("does not respond") == 2  # two outages
    with Receiver(refuses(404, "JOB_NOT_FOUND")) as receiver:
        assert run_with(receiver, "jobs", "wait", examples.JOB_ID).exit_code == 5
        assert len(receiver.received) == 1


def test_waiting_ends_after_a_long_outage() -> None:
    """After a time limit, which is reported once. The error has the job and the command to continue."""
    with Receiver(responds(503)) as receiver:
        result = run_with(receiver, "jobs", "wait", examples.JOB_ID)
    assert result.exit_code == 6
    assert result.stderr.count("does not respond") == 1
    assert f"comfyui-gateway jobs wait {examples.JOB_ID}" in result.stderr.splitlines()[-1]


def test_ids_are_escaped_in_paths() -> None:
    """An id is one path segment, with any characters."""
    with Receiver(refuses(404, "JOB_NOT_FOUND")) as receiver:
        assert run_with(receiver, "jobs", "show", "..").exit_code == 5
        assert_refused(run_with(receiver, "jobs", "show", ""), 5, "A name or id is empty")
        for name in ("a/../b", "a?b#c", "%2e%2e", "é"):
            run_with(receiver, "jobs", "show", name)
        lines = [request.line.split()[1] for request in receiver.received]
    assert lines == ["/jobs/a%2F..%2Fb", "/jobs/a%3Fb%23c", "/jobs/%252e%252e", "/jobs/%C3%A9"]


def downloads(port: int, folder: Path, *outputs: Mapping[str, Any]) -> Callable[[], object]:
    """Return a function that downloads these outputs."""
    listed: Any = [{**examples.OUTPUT, **output} for output in outputs]
    api = GatewayApi(Connection(url=f"http://127.0.0.1:{port}", api_key="s3cret-key"))

    def download() -> None:
        make_folder(folder)
        save_outputs(api, examples.JOB_ID, listed, folder, overwrite=False)

    return download


CONTENT = b"an image"
HASHED = {"size": len(CONTENT), "sha256": "cdd5d3a63c2cd6ba71a1a9a8f0a7bbc0ac2f6d3b8f2bb6ad2f2a7d1d5c5a7f24"}


@pytest.fixture(autouse=True)
def hashed() -> None:
    """Set the hash of the content."""
    import hashlib  # noqa: PLC0415  only here

    HASHED["sha256"] = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    "name",
    [
        "../../escaped.png", "/etc/escaped.png", "..\\..\\escaped.png", "a\0b.png", "\x1b[31m.png",
        "x" * 5000 + ".png", ".bashrc", "CON:stream", "é.png", "a/..", "-rf",
    ],
)  # fmt: skip
def test_a_file_stays_in_its_folder(home: Path, name: str) -> None:
    """With any file name, it is one new file in the folder."""
    folder = home / "in"
    with Receiver(responds(200, body=CONTENT)) as receiver:
        downloads(receiver.port, folder, {**HASHED, "filename": name})()
    (file,) = folder.iterdir()
    assert file.read_bytes() == CONTENT
    assert file.name.startswith("3f0c5f8e-")
    assert file.name.isprintable()
    assert len(os.fsencode(file.name)) < 255
    assert [path.name for path in home.iterdir()] == ["in"]


@pytest.mark.parametrize(
    "behavior",
    [
        responds(200, body=b"another content"),
        responds(200, body=b"an imag"),
        responds(200, body=CONTENT + b"!"),
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nan im"),
        hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nan im"),
        responds(302, "Location: file:///etc/passwd"),
        responds(302, "Location: http://127.0.0.1:9/x"),
        responds(302),
        refuses(404, "OUTPUT_NOT_FOUND"),
    ],
    ids=["other", "short", "long", "cut", "stuck", "redirect-file", "redirect-nowhere", "redirect-empty", "gone"],
)
def test_a_failed_download_leaves_nothing(home: Path, behavior: Behavior) -> None:
    """Neither a partial file nor a temporary one."""
    with Receiver(behavior) as receiver, pytest.raises(CommandFailedError):
        downloads(receiver.port, home, {**HASHED, "filename": "a.png"})()
    assert list(home.iterdir()) == []


def test_a_redirect_is_followed_without_the_key(home: Path) -> None:
    """The store of a deployed gateway must not receive it."""
    with Receiver(responds(200, body=CONTENT)) as store:
        redirect = responds(302, f"Location: http://127.0.0.1:{store.port}/bucket/key?signature=1")
        with Receiver(redirect) as receiver:
            downloads(receiver.port, home, {**HASHED, "filename": "a.png"})()
        assert "x-api-key" not in store.received[0].headers
        assert "authorization" not in store.received[0].headers
        assert receiver.received[0].headers["x-api-key"] == "s3cret-key"


@pytest.mark.parametrize("behavior", [responds(403, body=b"<Error/>"), responds(302, "Location: http://127.0.0.1:9/")])
def test_an_error_of_the_store_is_reported(home: Path, behavior: Behavior) -> None:
    """A second redirect is not followed."""
    with Receiver(behavior) as store:
        redirect = responds(302, f"Location: http://127.0.0.1:{store.port}/key")
        with Receiver(redirect) as receiver, pytest.raises(CommandFailedError, match=r"status [34]0"):
            downloads(receiver.port, home, {**HASHED, "filename": "a.png"})()
    assert list(home.iterdir()) == []


def test_a_netrc_changes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is sent unchanged, even if a .netrc has an entry for the host."""
    (home.parent / "home").mkdir()
    (home.parent / "home" / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(home.parent / "home" / ".netrc"))
    with Receiver(returns_json(examples.JOB_LIST | {"nextCursor": None})) as receiver:
        run("jobs", "list", "--url", f"http://127.0.0.1:{receiver.port}", "--token", "t0ken")
        assert receiver.received[0].headers["authorization"] == "Bearer t0ken"


def test_a_symbolic_link_is_not_followed(home: Path) -> None:
    """A symbolic link with the output's name is neither followed nor replaced."""
    outside = home.parent / "outside"
    (home / "3f0c5f8e-a.png").symlink_to(outside)
    with Receiver(responds(200, body=CONTENT)) as receiver, pytest.raises(CommandFailedError) as caught:
        downloads(receiver.port, home, {**HASHED, "filename": "a.png"})()
    assert caught.value.code is ExitCode.REFUSED
    assert not outside.exists()


def test_control_characters_of_a_job_id_are_removed() -> None:
    """Before it is printed."""
    wrong = {**examples.JOB_ACCEPTED, "jobId": str(uuid.uuid4()) + "\x1b[2J"}
    with Receiver(returns_json(wrong, status=202)) as receiver:
        result = run_with(receiver, "submit", "w")
    assert "\x1b" not in result.output


def test_the_number_of_pages_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """With pages that are empty or too large, and a next page each time."""
    monkeypatch.setattr("cli.jobs._MAX_PAGES", 5)
    with Receiver(returns_json({"jobs": [], "count": 0, "nextCursor": "more"})) as receiver:
        result = run_with(receiver, "jobs", "list")
        assert (result.exit_code, result.stdout, len(receiver.received)) == (0, "", 5)
        assert "There may be more" in result.stderr
    with Receiver(returns_json({"jobs": [examples.JOB_SUCCEEDED] * 7, "count": 7, "nextCursor": "more"})) as receiver:
        assert len(run_with(receiver, "jobs", "list", "--limit", "3").stdout.splitlines()) == 3


def test_values_stay_in_their_column() -> None:
    """Line breaks, tabs and control characters of a name are replaced."""
    job = {**examples.JOB_SUCCEEDED, "workflowId": "a\nfake\tline\r\x1b[2J"}
    with Receiver(returns_json({"jobs": [job], "count": 1, "nextCursor": None})) as receiver:
        (line,) = run_with(receiver, "jobs", "list").stdout.splitlines()
    assert line.split("\t")[2] == "a fake line �[2J"
