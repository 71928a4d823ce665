"""Looking up names takes no longer than it may."""

from __future__ import annotations

import socket
import threading
import time
from typing import NoReturn

import pytest

from functions.webhooks.dns import SystemResolver
from gateway.errors import NameUnresolvedError


def test_a_known_name_has_its_addresses() -> None:
    """The machine's own name is known everywhere, each of its addresses once."""
    addresses = SystemResolver().addresses("localhost", seconds=5)
    assert set(addresses) & {"127.0.0.1", "::1"}
    assert len(addresses) == len(set(addresses))


def test_a_slow_resolver_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller goes on when its time is up."""
    over = threading.Event()

    def hang(*_args: object, **_kwargs: object) -> list[object]:
        over.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    began = time.monotonic()
    with pytest.raises(NameUnresolvedError):
        SystemResolver().addresses("slow.example", seconds=0.1)
    assert time.monotonic() - began < 2
    over.set()


@pytest.mark.parametrize("problem", [socket.gaierror(socket.EAI_AGAIN, "x"), OSError(), UnicodeError()])
def test_a_resolver_that_fails_says_nothing_of_the_name(problem: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name may well exist."""

    def fail(*_args: object, **_kwargs: object) -> NoReturn:
        raise problem

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(NameUnresolvedError):
        SystemResolver().addresses("some.example", seconds=5)


def test_a_name_that_does_not_exist_has_no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is an answer, and a definite one."""

    def fail(*_args: object, **_kwargs: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "x")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert SystemResolver().addresses("no.example", seconds=5) == []
