"""Times as people write and read them: `1h`, `2026-11-30`, `3m ago`, `12.4s`.

Times without a time zone are local time.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from cli.exit_codes import CommandFailedError, ExitCode

_SPAN = re.compile(r"([0-9]{1,4})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MINUTE, _HOUR, _DAY = 60, 3600, 24 * 3600
_MAX_HOURS, _MAX_DAYS = 48, 60  # an age beyond is shown in the next larger unit, or as a date


def past_time(option: str, text: str, now: datetime) -> datetime:
    """Read a time from an option: `1h` is an hour ago. Raises CommandFailedError."""
    return _read(option, text, now, sign=-1)


def future_time(option: str, text: str, now: datetime) -> datetime:
    """Read a time from an option: `90d` is in 90 days. Raises CommandFailedError."""
    return _read(option, text, now, sign=1)


def _read(option: str, text: str, now: datetime, *, sign: int) -> datetime:
    try:
        if span := _SPAN.fullmatch(text):
            return now + sign * timedelta(**{_UNITS[span[2]]: int(span[1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        message = f"{option}: must be like 30m, 1h, 2d, 2026-01-31 or 2026-01-31T12:00:00Z"
        raise CommandFailedError(message, ExitCode.USAGE) from None


def age(time: datetime, now: datetime) -> str:
    """Describe how long ago a time was: `3m ago`. A time in the future, by a clock that differs, counts as now."""
    return _date_or(time, max(0.0, (now - time).total_seconds()), "{} ago")


def distance(time: datetime, now: datetime) -> str:
    """Describe how far away a time is: `in 3m`, or `3m ago`."""
    seconds = (time - now).total_seconds()
    return _date_or(time, seconds, "in {}") if seconds > 0 else age(time, now)


def duration(seconds: float) -> str:
    """Describe how long something took: `12.4s`, `2m 05s`, `1h 02m`."""
    if round(seconds, 1) < _MINUTE:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    if minutes < _MINUTE:
        return f"{minutes}m {rest:02}s"
    return f"{minutes // _MINUTE}h {minutes % _MINUTE:02}m"


def local_time(time: datetime) -> str:
    """Write a time in the local time zone, to the second: `2026-01-31 13:00:00 +0100`."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def clock_time(time: datetime, now: datetime) -> str:
    """Write the local time of day, with the date if it is not today's."""
    local, today = time.astimezone(), now.astimezone().date()
    return local.strftime("%H:%M:%S" if local.date() == today else "%Y-%m-%d %H:%M:%S")


def _date_or(time: datetime, seconds: float, form: str) -> str:
    if seconds < _MINUTE:
        return form.format(f"{int(seconds)}s")
    if seconds < _HOUR:
        return form.format(f"{int(seconds / _MINUTE)}m")
    if seconds < _MAX_HOURS * _HOUR:
        return form.format(f"{int(seconds / _HOUR)}h")
    if seconds < _MAX_DAYS * _DAY:
        return form.format(f"{int(seconds / _DAY)}d")
    return time.astimezone().strftime("%Y-%m-%d")
