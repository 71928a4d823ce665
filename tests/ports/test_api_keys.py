"""The ports ApiKeyStore and ApiKeyAdmin."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.domain.audit import AuditAction
from gateway.domain.principal import ApiKey, Role, hash_key
from gateway.errors import StateConflictError
from tests.component.samples import BY, LATER, NOW, SOON

if TYPE_CHECKING:
    from tests.ports.conftest import Ports

KEY = ApiKey(sha256=hash_key("s3cret"), name="ci", owner="Ada", role=Role.USER, created_at=NOW)
OTHER = ApiKey(sha256=hash_key("0ther"), name="ops", owner="Bob", role=Role.ADMIN, created_at=SOON)


@pytest.mark.parametrize("key", [KEY, replace(KEY, role=Role.ADMIN, expires_at=LATER, disabled=True)])
def test_a_key_is_read_as_it_was_put(ports: Ports, key: ApiKey) -> None:
    """All fields survive."""
    ports.keys.put(key)
    assert ports.keys.get(key.sha256) == key


def test_a_key_can_be_replaced_and_deleted(ports: Ports) -> None:
    """The last record of a hash counts; deleting it, even twice, leaves none."""
    assert ports.keys.get(KEY.sha256) is None
    ports.keys.put(KEY)
    ports.keys.put(replace(KEY, disabled=True))
    assert ports.keys.get(KEY.sha256) == replace(KEY, disabled=True)
    ports.keys.delete(KEY.sha256)
    ports.keys.delete(KEY.sha256)
    assert ports.keys.get(KEY.sha256) is None
    assert ports.key_admin.all() == []


def test_keys_are_listed_oldest_first(ports: Ports) -> None:
    """A list has the keys that were put and those that were created, including revoked ones."""
    ports.key_admin.create(OTHER, BY)
    ports.keys.put(replace(KEY, disabled=True))
    assert ports.key_admin.all() == [replace(KEY, disabled=True), OTHER]
    assert ports.keys.get(OTHER.sha256) == OTHER


def test_a_key_is_revoked_once(ports: Ports) -> None:
    """A revoked key stays in the list, disabled; revoking it again is a conflict."""
    ports.key_admin.create(KEY, BY)
    ports.key_admin.revoke(KEY, BY)
    revoked = replace(KEY, disabled=True)
    assert ports.keys.get(KEY.sha256) == revoked
    assert ports.key_admin.all() == [revoked]
    with pytest.raises(StateConflictError):
        ports.key_admin.revoke(revoked, BY)


def test_each_change_is_in_the_audit_log(ports: Ports) -> None:
    """Creation and revocation are recorded under the key's name."""
    ports.key_admin.create(KEY, BY)
    ports.key_admin.revoke(KEY, BY)
    entries = ports.audit.newest(10, before=None)
    assert {(entry.action, entry.target, entry.by) for entry in entries} == {
        (AuditAction.KEY_CREATED, "ci", BY),
        (AuditAction.KEY_REVOKED, "ci", BY),
    }
