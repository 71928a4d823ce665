"""Without keys every request is an admin's, so pages of other origins and foreign host names are refused."""

from __future__ import annotations

import json

import pytest

from gateway.errors import SettingsInvalidError
from tests.component.api import Gateway

WORKFLOW = json.dumps(
    {"id": "w", "name": "W", "workflowJson": {"1": {"class_type": "EmptyLatentImage", "inputs": {"width": 64}}}}
).encode()


@pytest.fixture
def gateway() -> Gateway:
    """Create a gateway without keys, which one page may use."""
    return Gateway.in_memory(OPEN_ACCESS="true", CORS_ORIGINS="http://127.0.0.1:5173")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:3000", "localhost", "LOCALHOST:3000", "[::1]:3000"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Mode": "cors"},  # Node.js
        {"Origin": "http://127.0.0.1:5173", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_programs_and_allowed_pages_are_served(gateway: Gateway, host: str, headers: dict[str, str]) -> None:
    """By any name of this machine."""
    assert gateway.send("GET", "/workflows", {"Host": host, **headers}, b"").status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "rebind.evil.example:3000", "127.0.0.1.evil.example", "localhost.evil.example", "localhost.",
        "127.0.0.1@evil.example", "192.168.1.5:3000", "127.0.0.1:3000, evil.example", "", "[::ffff:127.0.0.1]",
        "2130706433", "0x7f000001", "127.1", "0.0.0.0", "localhost:",  # noqa: S104  a Host header
        "localhost:80:80", "local%68ost",
    ],
)  # fmt: skip
@pytest.mark.parametrize("target", ["/workflows", "/jobs?limit=1", "/health", "/docs"])
def test_foreign_host_names_are_refused(gateway: Gateway, host: str, target: str) -> None:
    """A page whose name resolves to this machine would read the responses."""
    response = gateway.send("GET", target, {"Host": host}, b"")
    assert (response.status, response.json["error"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:8188"},
        {"Origin": "http://localhost"},  # the request went to 127.0.0.1
        {"Origin": "http://127.0.0.1:5173.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "anything"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
)
@pytest.mark.parametrize(("method", "target"), [("GET", "/jobs"), ("POST", "/workflows"), ("OPTIONS", "/workflows")])
def test_foreign_pages_are_refused(gateway: Gateway, headers: dict[str, str], method: str, target: str) -> None:
    """Whatever they send, preflights included, and nothing of it is done."""
    body = WORKFLOW if method == "POST" else b""
    response = gateway.send(method, target, {"Host": "127.0.0.1", **headers}, body)
    assert (response.status, response.json["error"]) == (403, "FORBIDDEN")
    assert "access-control-allow-origin" not in response.headers
    assert gateway.send("GET", "/workflows", {}, b"").json["count"] == 0


def test_with_keys_the_rules_of_cors_are_enough() -> None:
    """A page has no key, and behind a proxy the gateway has any name."""
    gateway = Gateway.in_memory(CORS_ORIGINS="*")
    headers = {**gateway.ada.headers, "Host": "images.example.com", "Origin": "https://app.example.com"}
    assert gateway.send("GET", "/workflows", headers, b"").status == 200


def test_any_origin_requires_keys() -> None:
    """With `*`, any page that is open in a browser would be an admin."""
    with pytest.raises(SettingsInvalidError, match="CORS_ORIGINS"):
        Gateway.in_memory(OPEN_ACCESS="true", CORS_ORIGINS="*")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 201),
        ({"Content-Type": "Application/JSON; charset=utf-8"}, 201),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": "application/jsonx"}, 415),
        ({"Content-Type": "text/plain, application/json"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "identity"}, 201),
    ],
)
@pytest.mark.parametrize("open_access", ["true", "false"])
def test_bodies_must_be_sent_as_json(headers: dict[str, str], status: int, open_access: str) -> None:
    """In every mode: a page can send other types without asking first."""
    gateway = Gateway.in_memory(OPEN_ACCESS=open_access)
    response = gateway.send("POST", "/workflows", {**gateway.admin.headers, **headers}, WORKFLOW)
    assert response.status == status
    if status == 415:
        assert response.json["error"] == "UNSUPPORTED_MEDIA_TYPE"
