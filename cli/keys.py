"""`comfyui-gateway keys`: create, list and revoke API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli import completion, times
from cli.aws_session import AwsSession, operator, with_aws
from cli.command_app import CommandApp
from cli.exit_codes import CommandFailedError, ExitCode
from gateway.clock import SYSTEM_CLOCK
from gateway.domain import timestamps
from gateway.domain.principal import ApiKey, Role, mint_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


app = CommandApp(
    help="Create, list and revoke API keys. Requires AWS credentials with write access to the gateway's table, or a "
    "gateway that runs on this machine.",
)


@app.command("create")
@with_aws
def create_key(
    session: AwsSession,
    *,
    name: Annotated[str, typer.Option(help="Name in lists and in the audit log.")],
    role: Annotated[Role, typer.Option(help="user: access to its own jobs; admin: to everything.")] = Role.USER,
    owner: Annotated[str | None, typer.Option(help="Owner of its jobs. Default: its name.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="TIME", help="90d, or 2027-01-31. Default: never.")] = None,
) -> None:
    """Create an API key, and print it once.

    Only its hash is stored. Stdout has the key and nothing else. Keys of the same owner have access to the same jobs.

    Examples:
      comfyui-gateway keys create --stage prod --name first --role admin
      comfyui-gateway keys create --name shop --expires 90d > shop.key

    """
    key, record = mint_key(
        name=name,
        owner=owner or name,
        role=role,
        now=SYSTEM_CLOCK.now(),
        expires_at=_expiry(expires) if expires else None,
    )
    session.api_keys.create(record, operator())
    if session.printer.as_json:
        session.printer.json({"key": key, **_view(record)})
        return
    session.printer.note(f"Key {record.id} of {record.owner}, {record.role}. It is not shown again:")
    session.printer.line(key)


@app.command("list")
@with_aws
def list_keys(session: AwsSession) -> None:
    """List API keys, including revoked and expired ones.

    Examples:
      comfyui-gateway keys list --stage prod

    """
    keys = session.api_keys.all()
    if session.printer.as_json:
        session.printer.json({"keys": [_view(key) for key in keys], "count": len(keys)})
        return
    rows = [
        (
            key.id,
            key.name,
            key.owner,
            key.role,
            _state(key),
            session.printer.age(timestamps.to_text(key.created_at)),
            session.printer.distance(timestamps.to_text(key.expires_at)) if key.expires_at else "never",
        )
        for key in keys
    ]
    session.printer.table(
        ("KEY", "NAME", "OWNER", "ROLE", "STATE", "CREATED", "EXPIRES"),
        rows,
        unbroken=("KEY", "STATE", "CREATED", "EXPIRES"),
    )
    if not keys:
        session.printer.note("No keys. Create one: comfyui-gateway keys create --name NAME --role admin")


@app.command("revoke")
@with_aws
def revoke_key(
    session: AwsSession,
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Id or name of the key.", autocompletion=completion.key_names)
    ],
) -> None:
    """Revoke an API key. Takes effect within 30 seconds.

    Examples:
      comfyui-gateway keys revoke shop --stage prod
      comfyui-gateway keys revoke 3f0c5f8e6a57

    """
    store = session.api_keys
    found = _find(store.all(), key)
    store.revoke(found, operator())
    if session.printer.as_json:
        session.printer.json({**_view(found), "state": "revoked"})
    else:
        session.printer.note(f"Revoked {found.id} ({found.name}).")
        if found.name == "API_KEYS":
            session.printer.note("Remove it from API_KEYS as well, or the next start of local mode restores it.")


def _expiry(text: str) -> datetime:
    """Read when a key expires. Raises CommandFailedError."""
    time = timestamps.whole_milliseconds(times.future_time("--expires", text, SYSTEM_CLOCK.now()))
    if time <= SYSTEM_CLOCK.now():
        raise CommandFailedError("--expires: must be in the future", ExitCode.USAGE)
    return time


def _find(keys: Sequence[ApiKey], id_or_name: str) -> ApiKey:
    """Return the key with this id, or the only valid key with this name. Raises CommandFailedError."""
    by_id = [key for key in keys if key.id == id_or_name]
    found = by_id or [key for key in keys if key.name == id_or_name and not key.disabled]
    if not found:
        raise CommandFailedError(
            f"There is no key {id_or_name}", ExitCode.NOT_FOUND, advice="List them: comfyui-gateway keys list"
        )
    if len(found) > 1:
        ids = ", ".join(key.id for key in found)
        raise CommandFailedError(f"Several keys have the name {id_or_name}: {ids}", ExitCode.USAGE, advice="Use an id.")
    return found[0]


def _state(key: ApiKey) -> str:
    if key.disabled:
        return "revoked"
    return "good" if key.usable(SYSTEM_CLOCK.now()) else "expired"


def _view(key: ApiKey) -> dict[str, str | None]:
    return {
        "id": key.id,
        "name": key.name,
        "owner": key.owner,
        "role": key.role,
        "state": _state(key),
        "createdAt": timestamps.to_text(key.created_at),
        "expiresAt": timestamps.to_text(key.expires_at) if key.expires_at else None,
    }
