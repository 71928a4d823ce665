"""`comfyui-gateway keys`: who gets in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli.aws_session import AwsSession, operator, with_aws
from cli.exit_codes import CommandFailedError, ExitCode
from gateway.domain import timestamps
from gateway.domain.principal import ApiKey, Role, mint_key

if TYPE_CHECKING:
    from gateway.ports import ApiKeyAdmin

app = typer.Typer(
    help="Make, list and revoke API keys. Needs AWS credentials that may write the gateway's table, or a gateway that "
    "runs on this machine.",
    no_args_is_help=True,
)

_DAYS = re.compile(r"([1-9][0-9]{0,3})d")


@app.command()
@with_aws
def create(
    session: AwsSession,
    *,
    name: Annotated[str, typer.Option(help="What lists and the audit log call it.")],
    role: Annotated[Role, typer.Option(help="user: its own jobs; admin: everything.")] = Role.USER,
    owner: Annotated[str | None, typer.Option(help="Whose jobs it sees; its name unless you say.")] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="WHEN", help="90d, or 2027-01-31; never unless you say.")
    ] = None,
) -> None:
    """Make a key, and show it: this once, since only its hash is kept.

    The key alone is on stdout. Keys of the same owner see the same jobs.

    Try:

      comfyui-gateway keys create --stage prod --name first --role admin

      comfyui-gateway keys create --name shop --expires 90d > shop.key
    """
    key, record = mint_key(
        name=name,
        owner=owner or name,
        role=role,
        now=timestamps.now(),
        expires_at=_expiry(expires) if expires else None,
    )
    _ring(session).create(record, operator())
    if session.printer.as_json:
        session.printer.data({"key": key, **_view(record)})
        return
    session.printer.note(f"Key {record.id} for {record.owner}, {record.role}. It is not shown again:")
    session.printer.line(key)


@app.command("list")
@with_aws
def list_keys(session: AwsSession) -> None:
    """List keys, those included that are revoked or have expired.

    Try:

      comfyui-gateway keys list --stage prod
    """
    keys = _ring(session).all()
    if session.printer.as_json:
        session.printer.data({"keys": [_view(key) for key in keys], "count": len(keys)})
        return
    rows = [
        (
            key.id,
            key.name,
            key.owner,
            key.role,
            _state(key),
            session.printer.moment(timestamps.to_text(key.created_at)),
            session.printer.moment(timestamps.to_text(key.expires_at)) if key.expires_at else "never",
        )
        for key in keys
    ]
    session.printer.table(("KEY", "NAME", "OWNER", "ROLE", "STATE", "MADE", "EXPIRES"), rows, whole=("KEY", "STATE"))
    if not keys:
        session.printer.note("No keys. Make one: comfyui-gateway keys create --name NAME --role admin")


@app.command()
@with_aws
def revoke(
    session: AwsSession,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id, as the list has it.")],
) -> None:
    """Let a key open nothing any more, within half a minute.

    Try:

      comfyui-gateway keys revoke 3f0c5f8e6a57 --stage prod
    """
    ring = _ring(session)
    found = next((each for each in ring.all() if each.id == key), None)
    if found is None:
        raise CommandFailedError(f"There is no key {key}. comfyui-gateway keys list shows them", ExitCode.NOT_FOUND)
    ring.revoke(found, operator())
    if session.printer.as_json:
        session.printer.data({**_view(found), "state": "revoked"})
    else:
        session.printer.note(f"Revoked {found.id} ({found.name}).")
        if found.name == "API_KEYS":
            session.printer.note("It stands in API_KEYS: take it out there, or the next start brings it back.")


def _ring(session: AwsSession) -> ApiKeyAdmin:
    from gateway.aws.dynamodb.api_key_admin import DynamoApiKeyAdmin  # noqa: PLC0415  likewise
    from gateway.aws.dynamodb.audit_log import DynamoAuditLog  # noqa: PLC0415  boto3 takes half a second

    table_name = session.variable("TABLE_NAME")
    client = session.clients.dynamodb
    return DynamoApiKeyAdmin(client, table_name, DynamoAuditLog(client, table_name, session.retention_days))


def _expiry(text: str) -> datetime:
    """Read when a key expires. Raises CommandFailedError."""
    if days := _DAYS.fullmatch(text):
        return timestamps.now() + timedelta(days=int(days[1]))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailedError("--expires: must be like 90d or 2027-01-31", ExitCode.USAGE) from None
    moment = timestamps.whole_milliseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    if moment <= timestamps.now():
        raise CommandFailedError("--expires: is over already", ExitCode.USAGE)
    return moment


def _state(key: ApiKey) -> str:
    if key.disabled:
        return "revoked"
    return "good" if key.usable(timestamps.now()) else "expired"


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
