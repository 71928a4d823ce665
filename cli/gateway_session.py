"""Commands that call the HTTP API: the options that select a gateway, and the session built from them."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.printer import Printer
from cli.shared_options import API_KEY_HELP, JSON, with_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.api import GatewayApi
    from cli.connection import Connection


def _option(name: str, text: str) -> tuple[Any, Any]:
    return Annotated[str | None, typer.Option(name, rich_help_panel="Connection", help=text)], None


_CONNECTION_OPTIONS = {
    "url": _option("--url", "Address of the gateway (or COMFYUI_GATEWAY_URL)."),
    "api_key": _option("--api-key", API_KEY_HELP),
    "token": _option("--token", "JWT (or COMFYUI_GATEWAY_TOKEN)."),
    "profile": _option("--profile", "Profile written by init (or COMFYUI_GATEWAY_PROFILE)."),
}


@dataclass(frozen=True)
class GatewaySession:
    """One run of a command: the gateway that it calls, and its printer."""

    printer: Printer
    url: str | None
    api_key: str | None
    token: str | None
    profile: str | None

    @cached_property
    def connection(self) -> Connection:
        """Address and credentials of the gateway. Raises CommandFailedError if an option or a profile is invalid."""
        from cli import connection  # noqa: PLC0415  `--help` does without it

        return connection.find(
            url=self.url,
            api_key=self.api_key,
            token=self.token,
            profile=self.profile,
            environment=os.environ,
        )

    @cached_property
    def api(self) -> GatewayApi:
        """The gateway's API. Raises CommandFailedError if an option or a profile is invalid."""
        from cli.api import GatewayApi  # noqa: PLC0415  requests and pydantic take a fifth of a second to import

        if file := self.connection.exposed_file:
            fix = f"chmod 600 {shlex.quote(str(file))}"
            self.printer.warning(f"other users can read the API key in {file}. Run: {fix}")
        return GatewayApi(self.connection)

    def job_id(self, text: str) -> str:
        """Return the whole id of a job from its first characters. Raises CommandFailedError."""
        from cli import job_ids  # noqa: PLC0415  few commands need it

        return job_ids.resolve(self.api, text)


def with_gateway(command: Callable[..., None]) -> Callable[..., None]:
    """Add the connection options and --json to a command, and pass it a GatewaySession as its first argument."""

    def run(shared: dict[str, Any], own: dict[str, Any]) -> None:
        command(GatewaySession(printer=Printer(as_json=shared.pop("as_json")), **shared), **own)

    return with_options(command, {**_CONNECTION_OPTIONS, "as_json": JSON}, run)
