"""Callers and their API keys."""

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


_KEY_PREFIX = "cgw_"  # so that people and scanners for leaked secrets recognize a key
_KEY_BYTES = 32
_CHECKSUM_CHARACTERS = 8
_OWNER_HASH_CHARACTERS = 16
_KEY_CHARACTERS = len(_KEY_PREFIX) + 43 + _CHECKSUM_CHARACTERS  # 32 bytes are 43 characters of base64
_ID_CHARACTERS = 12


class Role(StrEnum):
    """What a caller may do: `admin` everything, `user` its own jobs."""

    ADMIN = "admin"
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated caller."""

    owner: str
    role: Role
    key_name: str | None = None  # of the API key, when it was authenticated by one

    def may_see(self, job: Job) -> bool:
        """Return whether the caller may see the job. If not, it must not learn that the job exists."""
        return self.role is Role.ADMIN or job.owner == self.owner


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """The record of an API key: never the key, only its hash."""

    sha256: str  # hex, of the key
    name: str
    owner: str
    role: Role
    created_at: datetime
    expires_at: datetime | None = None
    disabled: bool = False

    @property
    def id(self) -> str:
        """A short id for people. It reveals nothing about the key, and in practice is unique."""
        return self.sha256[:_ID_CHARACTERS]

    def usable(self, now: datetime) -> bool:
        """Return whether the key is valid at this time: neither revoked nor expired."""
        return not self.disabled and (self.expires_at is None or now < self.expires_at)

    @property
    def principal(self) -> Principal:
        """The caller that this key authenticates."""
        return Principal(owner=self.owner, role=self.role, key_name=self.name)


def mint_key(
    *, name: str, owner: str, role: Role, now: datetime, expires_at: datetime | None = None
) -> tuple[str, ApiKey]:
    """Generate a random key; return it, to be shown once, and its record.

    Raises RequestInvalidError for a name or an owner that is too long or not printable.
    """
    import secrets  # noqa: PLC0415  functions only verify keys: saves cold-start time

    problems = [
        Problem(what, f"Must be 1 to {MAX_CREDENTIAL_NAME_CHARACTERS} printable characters.")
        for what, text in (("name", name), ("owner", owner))
        if not text.strip() or len(text) > MAX_CREDENTIAL_NAME_CHARACTERS or not text.isprintable()
    ]
    if problems:
        raise RequestInvalidError(problems)
    random_part = _KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    key = random_part + _checksum(random_part)
    record = ApiKey(sha256=hash_key(key), name=name, owner=owner, role=role, created_at=now, expires_at=expires_at)
    return key, record


def owner_hash(owner: str) -> str:
    """Return what names an owner to receivers of webhooks, without the name itself."""
    return hashlib.sha256(owner.encode()).hexdigest()[:_OWNER_HASH_CHARACTERS]


def is_minted(key: str) -> bool:
    """Return whether a key has the form and the checksum of `mint_key`. Any other needs no read of the table.

    The checksum is no secret: it keeps mistyped and made-up keys from costing anything, not from being accepted.
    """
    random_part, checksum = key[:-_CHECKSUM_CHARACTERS], key[-_CHECKSUM_CHARACTERS:]
    return key.startswith(_KEY_PREFIX) and len(key) == _KEY_CHARACTERS and checksum == _checksum(random_part)


def _checksum(random_part: str) -> str:
    return hashlib.sha256(random_part.encode()).hexdigest()[:_CHECKSUM_CHARACTERS]


def hash_key(key: str) -> str:
    """Hash an API key for storage and lookup.

    A plain SHA-256 is enough: keys are random and long, so there is nothing to guess, and the lookup by hash compares
    no secret, so its timing reveals nothing.
    """
    return hashlib.sha256(key.encode()).hexdigest()
