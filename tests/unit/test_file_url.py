from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.file_url import key_of, signed_path

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ONE = "one secret"
KEY = "outputs/3f0c/über a/%2e%2e_00001_.png"
PATH, _, QUERY = signed_path(KEY, expires_at=NOW + timedelta(hours=1), secret=ONE).partition("?")


def opened(path: str = PATH, query: str = QUERY, *, secret: str = ONE, later: float = 0) -> str | None:
    """Return the key that a URL opens."""
    return key_of(path, query, now=NOW + timedelta(seconds=later), secret=secret)


def test_a_url_opens_its_object_until_it_expires() -> None:
    """Whatever characters the key has."""
    assert opened() == KEY
    assert opened(later=3600) == KEY
    assert opened(later=3601) is None
    assert opened(secret=ONE[::-1]) is None


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (PATH + "x", QUERY),
        (PATH.replace("3f0c", "3f0d"), QUERY),
        (PATH.replace("3f0c/", "3f0c/../3f0c/"), QUERY),
        (PATH.removeprefix("/local-files"), QUERY),
        ("/local-files/", QUERY),
        (PATH, QUERY + "&x=1"),
        (PATH, "x=1&" + QUERY),
        (PATH, QUERY.upper()),
        (PATH, QUERY[:-1]),
        (PATH, QUERY.replace("expires=1", "expires=2")),
        (PATH, QUERY.partition("&")[2]),
        (PATH, ""),
        (PATH, "expires=99999999999999999999&signature=" + "0" * 64),
    ],
)
def test_a_changed_url_opens_nothing(path: str, query: str) -> None:
    """Neither another object nor a later time."""
    assert opened(path, query) is None
