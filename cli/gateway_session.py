"""What commands that talk to a gateway have in common: the options by which they find it, and --json."""

from __future__ import annotations

import inspect
import os
import shlex
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from cli.printer import Printer

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.api import GatewayApi
    from cli.connection import Connection

_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_PANEL = "Connection"

_OPTIONS: dict[str, tuple[Any, Any]] = {
    "url": (
        Annotated[
            str | None,
            typer.Option("--url", rich_help_panel=_PANEL, help="Address of the gateway, or COMFYUI_GATEWAY_URL."),
        ],
        None,
    ),
    "api_key": (
        Annotated[
            str | None,
            typer.Option(
                "--api-key",
                rich_help_panel=_PANEL,
                help="Key to show. Others on this machine can see a command line: rather COMFYUI_GATEWAY_API_KEY.",
            ),
        ],
        None,
    ),
    "token": (
        Annotated[
            str | None,
            typer.Option("--token", rich_help_panel=_PANEL, help="JWT to show, or COMFYUI_GATEWAY_TOKEN."),
        ],
        None,
    ),
    "profile": (
        Annotated[
            str | None,
            typer.Option("--profile", rich_help_panel=_PANEL, help="Profile made by init, or COMFYUI_GATEWAY_PROFILE."),
        ],
        None,
    ),
}
JSON_OPTION: tuple[Any, Any] = (
    Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")],
    False,
)


@dataclass(frozen=True)
class GatewaySession:
    """One run of a command: its gateway, and where it shows things."""

    printer: Printer
    url: str | None
    api_key: str | None
    token: str | None
    profile: str | None

    @cached_property
    def connection(self) -> Connection:
        """Where the gateway is, and as whom. Raises CommandFailedError when what names it is wrong."""
        from cli import connection  # noqa: PLC0415  what only shows help need not wait for it

        return connection.find(
            url=self.url,
            api_key=self.api_key,
            token=self.token,
            profile=self.profile,
            environment=os.environ,
        )

    @cached_property
    def api(self) -> GatewayApi:
        """The gateway. Raises CommandFailedError when what names it is wrong."""
        from cli.api import GatewayApi  # noqa: PLC0415  requests and pydantic take a fifth of a second

        if file := self.connection.exposed_file:
            self.printer.note(
                f"comfyui-gateway: others can read your key in {file}: chmod 600 {shlex.quote(str(file))}"
            )
        return GatewayApi(self.connection)


def with_gateway(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a session; it takes the session as its first argument."""

    def run(arguments: dict[str, Any], rest: dict[str, Any]) -> None:
        command(GatewaySession(printer=Printer(as_json=arguments.pop("as_json")), **arguments), **rest)

    return with_options(command, {**_OPTIONS, "as_json": JSON_OPTION}, run)


def with_options(
    command: Callable[..., None],
    options: dict[str, tuple[Any, Any]],
    run: Callable[[dict[str, Any], dict[str, Any]], None],
) -> Callable[..., None]:
    """Put options, as name → (annotation, default), in place of a command's first parameter.

    Typer reads a command's signature and annotations: both are made as if the command had these parameters itself.
    `run` is called with their values, and with those of the command's own.
    """

    @wraps(command)
    def wrapper(**values: Any) -> None:  # noqa: ANN401  whatever the command takes
        taken = {name: values.pop(name) for name in options}
        run(taken, values)

    first, *own = inspect.signature(command).parameters.values()
    annotations = {name: kind for name, kind in command.__annotations__.items() if name != first.name}
    wrapper.__annotations__ = annotations | {name: annotation for name, (annotation, _) in options.items()}
    hints = get_type_hints(wrapper, include_extras=True)
    parameters = [
        *own,
        *(inspect.Parameter(name, _KEYWORD, default=default) for name, (_, default) in options.items()),
    ]
    wrapper.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # inspect looks there
        [each.replace(kind=_KEYWORD, annotation=hints[each.name]) for each in parameters]
    )
    return wrapper
