"""Timestamps: aware UTC datetimes in the code, RFC 3339 with milliseconds and `Z` in texts."""

from __future__ import annotations

from datetime import UTC, datetime


def whole_milliseconds(instant: datetime) -> datetime:
    """Truncate to milliseconds."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def to_text(instant: datetime) -> str:
    """Format as `2026-01-31T12:00:00.000Z`. Texts sort as the timestamps do."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """Parse the result of `to_text`. Raises ValueError on anything but a timestamp with a time zone."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"no time zone: {text}")
    return instant.astimezone(UTC)


def to_milliseconds(instant: datetime) -> int:
    """Convert to milliseconds since 1970."""
    return round(instant.timestamp() * 1000)


def from_milliseconds(milliseconds: int) -> datetime:
    """Convert from milliseconds since 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
