"""What commands that talk to AWS themselves have in common: which table and queues they mean, and --json.

Keys and dead letters are no part of the HTTP API. Where a gateway keeps them is told, in this order, by
- `--stage`: the outputs of the stage's stacks,
- the environment, as an executor reads it (TABLE_NAME …),
- a gateway that runs on this machine: it writes them into DATA_DIR.
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
from cli.gateway_session import JSON_OPTION, with_options
from cli.printer import Printer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.aws.clients import Clients
    from gateway.domain.audit import Authorship

_KNOWN_BY = (
    "TABLE_NAME",
    "HIGH_QUEUE_URL",
    "NORMAL_QUEUE_URL",
    "LOW_QUEUE_URL",
    "WEBHOOK_QUEUE_URL",
)
_CONNECT_SECONDS = 2
STAGE_OPTION: tuple[Any, Any] = (
    Annotated[
        str | None,
        typer.Option(
            help="The deployed stage; else TABLE_NAME and so on, or the gateway running in DATA_DIR (./data)."
        ),
    ],
    None,
)


@dataclass(frozen=True)
class AwsSession:
    """One run of a command: what it works on in AWS, and where it shows things."""

    printer: Printer
    stage: str | None

    @cached_property
    def clients(self) -> Clients:
        """AWS's services, as boto3 finds them in the environment."""
        from gateway.aws.clients import Clients  # noqa: PLC0415  boto3 takes half a second

        if self.stage is None:
            self._variables  # noqa: B018  they may say where the embedded AWS is, which boto3 has to know before
        return Clients()

    def variable(self, name: str) -> str:
        """Tell where a table or queue is. Raises CommandFailedError."""
        value = self._variables.get(name)
        if not value:
            raise CommandFailedError(
                f"{name}: is not set, and no gateway was started in {_data_dir(os.environ)}. Name a deployed one with "
                "--stage, or start one here: comfyui-gateway run"
            )
        return value

    @property
    def known(self) -> bool:
        """Whether anything says where table and queues are."""
        in_environment = any(os.environ.get(name) for name in _KNOWN_BY)
        return self.stage is not None or in_environment or _written_down(os.environ).exists()

    @property
    def retention_days(self) -> int:
        """How long things are kept; 30 days unless it is said."""
        days = self._variables.get("RETENTION_DAYS") or os.environ.get("RETENTION_DAYS", "")
        return int(days) if days.isdecimal() else 30

    @cached_property
    def _variables(self) -> Mapping[str, str]:
        if self.stage is not None:
            from gateway.aws.stack_outputs import environment_of  # noqa: PLC0415  as above

            return env_file.parse(environment_of(self.clients, self.stage), f"the stage {self.stage}")
        if any(os.environ.get(name) for name in _KNOWN_BY):
            return os.environ
        found = env_file.read(_written_down(os.environ)) or {}
        # It is still there when that gateway has ended.
        if found and not _listens(found.get("AWS_ENDPOINT_URL", "")):
            raise CommandFailedError(
                f"The gateway of {_data_dir(os.environ)} does not run. Start it with comfyui-gateway run, or name a "
                "deployed one with --stage"
            )
        os.environ.update(found)  # boto3 finds the embedded AWS by it
        return found


def _listens(url: str) -> bool:
    import socket  # noqa: PLC0415  few commands ask
    from urllib.parse import urlsplit  # noqa: PLC0415  likewise

    try:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname, parts.port), timeout=_CONNECT_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def _written_down(environment: Mapping[str, str]) -> Path:
    return _data_dir(environment) / "environment"


def _data_dir(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("DATA_DIR") or "./data").expanduser()


def with_aws(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of an AWS session, which it takes as its first argument; tell what AWS refuses."""

    def run(arguments: dict[str, Any], rest: dict[str, Any]) -> None:
        from gateway.aws.error_messages import raising_operator_errors  # noqa: PLC0415  boto3 takes half a second

        with raising_operator_errors():
            command(AwsSession(Printer(as_json=arguments["as_json"]), arguments["stage"]), **rest)

    return with_options(command, {"stage": STAGE_OPTION, "as_json": JSON_OPTION}, run)


def operator() -> Authorship:
    """Say who does something, for the audit log: whoever runs the command, by the name on this machine."""
    import getpass  # noqa: PLC0415  few commands ask
    import uuid  # noqa: PLC0415  likewise

    from gateway.domain.audit import Authorship  # noqa: PLC0415  likewise
    from gateway.domain.principal import Principal, Role  # noqa: PLC0415  likewise

    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = "unknown"
    actor = Principal(owner=f"operator {name}", role=Role.ADMIN)
    return Authorship(actor=actor, correlation_id=str(uuid.uuid4()))
