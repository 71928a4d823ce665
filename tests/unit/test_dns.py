"""Name resolution: addresses, errors and the timeout."""

from __future__ import annotations

import socket
import threading
import time
from typing import NoReturn

import pytest

from functions.webhooks.dns import SystemResolver
from gateway.errors import NameUnresolvedError


def test_a_known_name_has_its_addresses() -> None:
    """`localhost` resolves on every machine, to each of its addresses once."""
    addresses = SystemResolver().addresses("localhost", seconds=5)
    assert set(addresses) & {"127.0.0.1", "::1"}
    assert len(addresses) == len(set(addresses))


def test_a_slow_resolver_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call ends after its timeout, even while the system resolver hangs."""
    released = threading.Event()

    def hang(*_args: object, **_kwargs: object) -> list[object]:
        released.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    started = time.monotonic()
    with pytest.raises(NameUnresolvedError):
        SystemResolver().addresses("slow.example", seconds=0.1)
    assert time.monotonic() - started < 2
    released.set()


@pytest.mark.parametrize("problem", [socket.gaierror(socket.EAI_AGAIN, "x"), OSError(), UnicodeError()])
def test_a_failing_resolver_raises_name_unresolved(problem: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure does not mean that the name does not exist."""

    def fail(*_args: object, **_kwargs: object) -> NoReturn:
        raise problem

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(NameUnresolvedError):
        SystemResolver().addresses("some.example", seconds=5)


def test_a_name_that_does_not_exist_has_no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A definite response of the resolver is not an error."""

    def fail(*_args: object, **_kwargs: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "x")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert SystemResolver().addresses("no.example", seconds=5) == []
