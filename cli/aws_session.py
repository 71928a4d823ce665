"""Commands that call AWS themselves: the option --stage, and the session built from it.

API keys and dead letters are not part of the HTTP API. The names of table and queues come from, in this order:
- `--stage`: the outputs of the stage's stacks,
- the environment, with the variables of an executor (TABLE_NAME …),
- a gateway that runs on this machine: it writes them to DATA_DIR.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import env_file
from cli.exit_codes import CommandFailedError
from cli.printer import Printer
from cli.shared_options import JSON, with_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.aws.clients import Clients
    from gateway.aws.dynamodb.audit_log import DynamoAuditLog
    from gateway.domain.audit import Authorship
    from gateway.ports import ApiKeyAdmin

_NAMING_VARIABLES = (
    "TABLE_NAME",
    "HIGH_QUEUE_URL",
    "NORMAL_QUEUE_URL",
    "LOW_QUEUE_URL",
    "WEBHOOK_QUEUE_URL",
)
_CONNECT_SECONDS = 2
_SELECT = "Start one: comfyui-gateway run. Or run this command in its folder, set DATA_DIR, or pass --stage."
STAGE_OPTION: tuple[Any, Any] = (
    Annotated[
        str | None,
        typer.Option(
            help="Deployed stage. Default: TABLE_NAME and so on, or the gateway that runs in DATA_DIR (./data)."
        ),
    ],
    None,
)


@dataclass(frozen=True)
class AwsSession:
    """One run of a command: the AWS resources that it uses, and its printer."""

    printer: Printer
    stage: str | None

    @cached_property
    def clients(self) -> Clients:
        """Clients of AWS services, configured by boto3 from the environment."""
        from gateway.aws.clients import Clients  # noqa: PLC0415  boto3 takes half a second to import

        if self.stage is None:
            self._variables  # noqa: B018  they may hold the embedded AWS's address, which boto3 reads when it is created
        return Clients()

    def variable(self, name: str) -> str:
        """Return the name or address of a table or queue. Raises CommandFailedError."""
        value = self._variables.get(name)
        if not value:
            raise CommandFailedError(
                f"{name}: is not set, and no gateway was started in {_data_dir(os.environ)}",
                advice=_SELECT,
            )
        return value

    @property
    def api_keys(self) -> ApiKeyAdmin:
        """The API keys in the table. Raises CommandFailedError."""
        from gateway.aws.dynamodb.api_key_admin import DynamoApiKeyAdmin  # noqa: PLC0415  boto3 is slow to import

        table = self.variable("TABLE_NAME")  # first: its error has the advice, not that about a region
        return DynamoApiKeyAdmin(self.clients.dynamodb, table, self.audit_log)

    @property
    def audit_log(self) -> DynamoAuditLog:
        """The audit log in the table. Raises CommandFailedError."""
        from gateway.aws.dynamodb.audit_log import DynamoAuditLog  # noqa: PLC0415  boto3 is slow to import

        return DynamoAuditLog(self.clients.dynamodb, self.variable("TABLE_NAME"), self.retention_days)

    @property
    def is_configured(self) -> bool:
        """Whether any source names the table and the queues."""
        in_environment = any(os.environ.get(name) for name in _NAMING_VARIABLES)
        return self.stage is not None or in_environment or _environment_file(os.environ).exists()

    @property
    def retention_days(self) -> int:
        """How long records are kept, in days."""
        days = self._variables.get("RETENTION_DAYS") or os.environ.get("RETENTION_DAYS", "")
        return int(days) if days.isdecimal() else 30

    @cached_property
    def _variables(self) -> Mapping[str, str]:
        if self.stage is not None:
            from gateway.aws.stack_outputs import environment_of  # noqa: PLC0415  boto3 takes half a second to import

            return env_file.parse(environment_of(self.clients, self.stage), f"stage {self.stage}")
        if any(os.environ.get(name) for name in _NAMING_VARIABLES):
            return os.environ
        found = env_file.read(_environment_file(os.environ)) or {}
        # The file remains when that gateway has stopped.
        if found and not _is_listening(found.get("AWS_ENDPOINT_URL", "")):
            raise CommandFailedError(
                f"The gateway in {_data_dir(os.environ)} is not running",
                advice="Start it: comfyui-gateway run. Or select a deployed one with --stage.",
            )
        os.environ.update(found)  # boto3 reads the address of the embedded AWS there
        return found


def _is_listening(url: str) -> bool:
    import socket  # noqa: PLC0415  few commands need it
    from urllib.parse import urlsplit  # noqa: PLC0415  few commands need it

    try:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname, parts.port), timeout=_CONNECT_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def _environment_file(environment: Mapping[str, str]) -> Path:
    return _data_dir(environment) / "environment"


def _data_dir(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("DATA_DIR") or "./data").expanduser()


def with_aws(command: Callable[..., None]) -> Callable[..., None]:
    """Add --stage and --json to a command, pass it an AwsSession as its first argument, and report errors of AWS."""

    def run(shared: dict[str, Any], own: dict[str, Any]) -> None:
        from gateway.aws.error_messages import raising_operator_errors  # noqa: PLC0415  boto3 takes half a second to import

        with raising_operator_errors():
            command(AwsSession(Printer(as_json=shared["as_json"]), shared["stage"]), **own)

    return with_options(command, {"stage": STAGE_OPTION, "as_json": JSON}, run)


def operator() -> Authorship:
    """Return the author for the audit log: the user who runs the command, by the name on this machine."""
    import getpass  # noqa: PLC0415  few commands need it
    import uuid  # noqa: PLC0415  few commands need it

    from gateway.domain.audit import Authorship  # noqa: PLC0415  few commands need it
    from gateway.domain.principal import Principal, Role  # noqa: PLC0415  few commands need it

    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = "unknown"
    actor = Principal(owner=f"operator {name}", role=Role.ADMIN)
    return Authorship(actor=actor, correlation_id=str(uuid.uuid4()))
