"""Register the bundled workflows and the keys of API_KEYS at the start of local mode."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from gateway.aws.dynamodb import attributes
from gateway.aws.dynamodb.api_key_store import DynamoApiKeyStore
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.audit import Authorship
from gateway.domain.principal import ApiKey, Principal, Role, hash_key
from gateway.domain.workflow import WorkflowTemplate
from gateway.errors import SettingsInvalidError
from gateway.limits import MAX_API_KEY_CHARACTERS, MIN_API_KEY_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from gateway.ports import WorkflowStore

_AT_START = Authorship(actor=Principal(owner="local", role=Role.ADMIN), correlation_id="start")
# The record of the keys that the last run seeded. It is in the same table, so both are kept or lost together.
_RECORD_KEY = attributes.write({"pk": "LOCAL", "sk": "SEEDED_KEYS"})


def seed_workflows(store: WorkflowStore) -> None:
    """Register the bundled workflows that do not exist.

    An existing one is not changed, even if the bundled one is newer: it may have been edited.
    """
    folder = resources.files("workflows")
    for graph_file in sorted(folder.iterdir(), key=lambda file: file.name):
        workflow_id = graph_file.name.removesuffix(".json")
        schema_file = folder / f"{workflow_id}.schema.json"
        if not schema_file.is_file() or store.head(workflow_id) is not None:
            continue
        schema = json.loads(schema_file.read_text())
        template = WorkflowTemplate.register(json.loads(graph_file.read_text()), schema, None)
        store.create(workflow_id, schema["title"], schema["description"], template, _AT_START)


@dataclass(frozen=True, slots=True)
class SeededKey:
    """One entry of API_KEYS, with the hash of the key only."""

    sha256: str
    role: Role


def parse_keys(api_keys: str) -> Sequence[SeededKey]:
    """Parse `key1:admin,key2:user`. Raises SettingsInvalidError, which gives the position of a wrong entry."""
    keys: list[SeededKey] = []
    for position, entry in enumerate(api_keys.split(",") if api_keys.strip() else [], start=1):
        key, _, role = (part.strip() for part in entry.rpartition(":"))
        if not key:
            raise SettingsInvalidError(f"API_KEYS: entry {position} does not have the form key:role")
        if role not in list(Role):
            raise SettingsInvalidError(f"API_KEYS: entry {position} has a role other than {' and '.join(Role)}")
        if len(key) < MIN_API_KEY_CHARACTERS:
            raise SettingsInvalidError(
                f"API_KEYS: entry {position} has a key of fewer than {MIN_API_KEY_CHARACTERS} characters: use a random "
                "one, as openssl rand -hex 24 prints"
            )
        if len(key) > MAX_API_KEY_CHARACTERS or not (key.isascii() and key.isprintable()):
            raise SettingsInvalidError(
                f"API_KEYS: entry {position} has a key that is too long, or not all printable ASCII"
            )
        seeded = SeededKey(hash_key(key), Role(role))
        if seeded.sha256 in [other.sha256 for other in keys]:
            raise SettingsInvalidError(f"API_KEYS: entry {position} repeats the key of an earlier entry")
        keys.append(seeded)
    return keys


def seed_keys(client: DynamoDBClient, table_name: str, keys: Sequence[SeededKey]) -> None:
    """Make the seeded keys exactly these: delete keys that an earlier run seeded and that are no longer listed.

    Each key is its own owner, the same one while the key stays the same. Keys created in other ways are not changed.
    """
    store = DynamoApiKeyStore(client, table_name)
    record = attributes.read(client.get_item(TableName=table_name, Key=_RECORD_KEY).get("Item", {}))
    before = set(json.loads(record.get("hashes", "[]")))
    wanted = {key.sha256 for key in keys}
    # First the record, with old and new keys: a key that is not in it would never be removed.
    _write_record(client, table_name, before | wanted)
    for sha256 in before - wanted:
        store.delete(sha256)
    for key in keys:
        store.put(
            ApiKey(
                sha256=key.sha256,
                name="API_KEYS",
                owner=f"key-{key.sha256[:16]}",
                role=key.role,
                created_at=SYSTEM_CLOCK.now(),
            )
        )
    _write_record(client, table_name, wanted)


def _write_record(client: DynamoDBClient, table_name: str, hashes: set[str]) -> None:
    fields = attributes.write({"hashes": json.dumps(sorted(hashes))})
    client.put_item(TableName=table_name, Item={**_RECORD_KEY, **fields})
