"""Instants: aware UTC datetimes inside, RFC 3339 with milliseconds and `Z` outside."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present, to the millisecond: what is stored and what is compared are then the same."""
    return whole_milliseconds(datetime.now(UTC))


def whole_milliseconds(instant: datetime) -> datetime:
    """Cut off what is finer than a millisecond."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def to_text(instant: datetime) -> str:
    """Write an instant as `2026-01-31T12:00:00.000Z`. Texts sort as the instants do."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """Read what `to_text` wrote. Raises ValueError on anything that is no instant with a time zone."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"no time zone: {text}")
    return instant.astimezone(UTC)


def to_milliseconds(instant: datetime) -> int:
    """Count milliseconds since 1970."""
    return round(instant.timestamp() * 1000)


def from_milliseconds(milliseconds: int) -> datetime:
    """Read what `to_milliseconds` wrote."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
