from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.aws.dynamodb.api_key_store import DynamoApiKeyStore
from gateway.aws.dynamodb.audit_log import DynamoAuditLog
from gateway.aws.dynamodb.workflow_store import DynamoWorkflowStore
from gateway.aws.s3 import S3ObjectStore
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.principal import ApiKey, Role, hash_key
from gateway.errors import SettingsInvalidError
from local.seed import parse_keys, seed_keys, seed_workflows

if TYPE_CHECKING:
    from gateway.aws.clients import Clients


@pytest.fixture
def keys(aws: dict[str, str], aws_clients: Clients) -> DynamoApiKeyStore:
    """Return the key store of a new table."""
    return DynamoApiKeyStore(aws_clients.dynamodb, aws["TABLE_NAME"])


def seed(api_keys: str, aws: dict[str, str], aws_clients: Clients) -> None:
    """Seed keys like a run with this API_KEYS."""
    seed_keys(aws_clients.dynamodb, aws["TABLE_NAME"], parse_keys(api_keys))


def test_a_seeded_key_has_its_role(keys: DynamoApiKeyStore, aws: dict[str, str], aws_clients: Clients) -> None:
    """Each listed key is found by its hash, with its role and its own owner."""
    seed("key-number-one-of-three:admin, key-number-two-of-three:user", aws, aws_clients)
    one, two = keys.get(hash_key("key-number-one-of-three")), keys.get(hash_key("key-number-two-of-three"))
    assert one
    assert two
    assert (one.role, two.role) == (Role.ADMIN, Role.USER)
    assert one.owner != two.owner
    assert one.usable(SYSTEM_CLOCK.now())


def test_an_owner_stays_the_same_over_restarts(
    keys: DynamoApiKeyStore, aws: dict[str, str], aws_clients: Clients
) -> None:
    """Otherwise users would lose their jobs with each run; a new role does not change the owner either."""
    seed("key-number-one-of-three:admin", aws, aws_clients)
    before = keys.get(hash_key("key-number-one-of-three"))
    seed("key-number-one-of-three:user", aws, aws_clients)
    after = keys.get(hash_key("key-number-one-of-three"))
    assert before
    assert after
    assert (before.owner, after.role) == (after.owner, Role.USER)


def test_a_key_no_longer_listed_is_deleted(keys: DynamoApiKeyStore, aws: dict[str, str], aws_clients: Clients) -> None:
    """A key of an earlier run is deleted with its entry; a key created in another way stays."""
    made = ApiKey(sha256=hash_key("made"), name="ci", owner="ci", role=Role.USER, created_at=SYSTEM_CLOCK.now())
    keys.put(made)
    seed("key-number-one-of-three:admin,key-number-two-of-three:user", aws, aws_clients)
    seed("key-number-two-of-three:user,key-number-three-of-three:user", aws, aws_clients)
    assert keys.get(hash_key("key-number-one-of-three")) is None
    assert keys.get(hash_key("key-number-two-of-three"))
    seed("", aws, aws_clients)
    assert keys.get(hash_key("key-number-three-of-three")) is None
    assert keys.get(hash_key("made")) == made


def test_roles_follow_the_last_colon() -> None:
    """A key may have colons in it."""
    (key,) = parse_keys("key-with:a-colon:user")
    assert key.sha256 == hash_key("key-with:a-colon")


@pytest.mark.parametrize(
    ("api_keys", "position"),
    [
        ("s3cret", 1),
        (":admin", 1),
        ("key-number-one-of-three:user,", 2),
        ("key-number-one-of-three:user,s3cret-of-sixteen:root", 2),
        ("key-number-one-of-three:user,key-number-two-of-three:admin,key-number-one-of-three:admin", 3),
        ("s3cré-of-16-characters:user", 1),
        ("s3cret-of-15-ch:user", 1),
        (f"{'k' * 257}:user", 1),
    ],
)
def test_a_malformed_entry_is_named_by_its_position(api_keys: str, position: int) -> None:
    """The message has the position of the wrong entry, and nothing of its content."""
    with pytest.raises(SettingsInvalidError, match=rf"^API_KEYS: entry {position} ") as raised:
        parse_keys(api_keys)
    assert "s3cr" not in raised.value.message


def test_bundled_workflows_are_registered_and_edits_stay(aws: dict[str, str], aws_clients: Clients) -> None:
    """The first run registers all of them, as the gateway itself; later runs only register missing ones."""
    objects = S3ObjectStore(aws_clients.s3, aws["BUCKET_NAME"])
    audit = DynamoAuditLog(aws_clients.dynamodb, aws["TABLE_NAME"], 30)
    store = DynamoWorkflowStore(aws_clients.dynamodb, aws["TABLE_NAME"], objects, audit)
    seed_workflows(store)
    heads = store.heads()
    assert [head.id for head in heads] == ["icon_512", "sdxl_realism_v1", "sprite_transparent_bg"]
    assert all(head.name and head.description for head in heads)
    seed_workflows(store)
    assert store.heads() == heads
    entries = audit.newest(10, before=None)
    assert sorted((entry.target, entry.by.actor.owner) for entry in entries) == [(head.id, "local") for head in heads]
