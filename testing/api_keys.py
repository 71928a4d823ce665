"""API keys in memory."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.domain.audit import AuditAction, AuditEntry
from gateway.errors import StateConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.domain.audit import Authorship
    from gateway.domain.principal import ApiKey
    from gateway.ports import AuditLog, Clock


class InMemoryApiKeyStore:
    """Implements the port `ApiKeyStore`. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, ApiKey] = {}

    def get(self, sha256: str) -> ApiKey | None:
        """Read a key's record, or None."""
        return self._keys.get(sha256)

    def put(self, key: ApiKey) -> None:
        """Write a key's record."""
        with self._lock:
            self._keys[key.sha256] = key

    def delete(self, sha256: str) -> None:
        """Delete a key's record, if there is one."""
        with self._lock:
            self._keys.pop(sha256, None)

    def all(self) -> Sequence[ApiKey]:
        """Read all records, oldest first. Not part of the port: the in-memory ApiKeyAdmin uses it."""
        with self._lock:
            return sorted(self._keys.values(), key=lambda key: key.created_at)


class InMemoryApiKeyAdmin:
    """Implements the port `ApiKeyAdmin`."""

    def __init__(self, clock: Clock, keys: InMemoryApiKeyStore, audit: AuditLog) -> None:
        self._clock = clock
        self._keys = keys
        self._audit = audit

    def all(self) -> Sequence[ApiKey]:
        """Read all keys, oldest first, including revoked and expired ones."""
        return self._keys.all()

    def create(self, key: ApiKey, by: Authorship) -> None:
        """Store a new key."""
        self._change(key, AuditAction.KEY_CREATED, by)

    def revoke(self, key: ApiKey, by: Authorship) -> None:
        """Disable a key. Raises StateConflictError when it is already revoked."""
        if key.disabled:
            raise StateConflictError(f"The key {key.id} is already revoked.")
        self._change(replace(key, disabled=True), AuditAction.KEY_REVOKED, by)

    def _change(self, key: ApiKey, action: AuditAction, by: Authorship) -> None:
        self._keys.put(key)
        self._audit.record(AuditEntry.new(action, key.name, by=by, at=self._clock.now()))
