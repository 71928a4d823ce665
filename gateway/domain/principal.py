"""Who is calling, and what a caller may do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from gateway.errors import Problem, RequestInvalidError
from gateway.limits import MAX_CREDENTIAL_NAME_CHARACTERS

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.domain.job import Job


_KEY_PREFIX = "cgw_"  # so that a person, or a scan for leaked secrets, knows one
_KEY_BYTES = 32
_ID_CHARACTERS = 12


class Role(StrEnum):
    """What a caller may do: `admin` everything, `user` its own jobs."""

    ADMIN = "admin"
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller that is signed in."""

    owner: str
    role: Role
    key_name: str | None = None  # of the API key that was shown, when it was one

    def may_see(self, job: Job) -> bool:
        """Tell whether the job exists as far as this caller is concerned."""
        return self.role is Role.ADMIN or job.owner == self.owner


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is kept of an API key: never the key, only its hash."""

    sha256: str  # hex, of the key
    name: str
    owner: str
    role: Role
    created_at: datetime
    expires_at: datetime | None = None
    disabled: bool = False

    @property
    def id(self) -> str:
        """What people call it by: it tells nothing of the key, and no two keys will ever share it."""
        return self.sha256[:_ID_CHARACTERS]

    def usable(self, now: datetime) -> bool:
        """Tell whether the key opens anything at this instant."""
        return not self.disabled and (self.expires_at is None or now < self.expires_at)

    @property
    def principal(self) -> Principal:
        """The caller that this key stands for."""
        return Principal(owner=self.owner, role=self.role, key_name=self.name)


def mint_key(
    *, name: str, owner: str, role: Role, now: datetime, expires_at: datetime | None = None
) -> tuple[str, ApiKey]:
    """Make a new key at random; return it, to be shown once, and what is kept of it.

    Raises RequestInvalidError for a name or an owner that could not be shown.
    """
    import secrets  # noqa: PLC0415  functions only look keys up: no cold start pays for it

    problems = [
        Problem(what, f"Must be 1 to {MAX_CREDENTIAL_NAME_CHARACTERS} printable characters.")
        for what, text in (("name", name), ("owner", owner))
        if not text.strip() or len(text) > MAX_CREDENTIAL_NAME_CHARACTERS or not text.isprintable()
    ]
    if problems:
        raise RequestInvalidError(problems)
    key = _KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    record = ApiKey(sha256=hash_key(key), name=name, owner=owner, role=role, created_at=now, expires_at=expires_at)
    return key, record


def hash_key(key: str) -> str:
    """Hash an API key for storage and look-up.

    A plain SHA-256 does: keys are random and long, so there is nothing to guess, and the look-up by
    hash compares no secret, so its timing tells nothing.
    """
    return hashlib.sha256(key.encode()).hexdigest()
