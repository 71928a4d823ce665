"""Print the banner of local mode: addresses, folders, and the first commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from gateway.__about__ import VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

_BODY = """{"workflowId": "sdxl_realism_v1", "inputs": {"prompt": "a lighthouse at dawn"}}"""

_WARNING = "yellow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How a person calls the command, for the examples in the banner."""

    program: str  # path or name
    default_url: str  # of the gateway that it talks to without --url
    api_key_variable: str
    token_variable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningGateway:
    """What the banner shows of a running gateway."""

    url: str
    command: Command
    comfyui_url: str
    simulated: bool  # no ComfyUI at comfyui_url
    data_dir: Path | None  # None: a temporary folder
    logs: Path
    api_keys: bool  # are accepted
    tokens: bool  # JWTs are accepted
    webhook_secret: Path | None  # file of the generated secret; None: WEBHOOK_SECRET is set


def show(running: RunningGateway, console: Console) -> None:
    """Print the banner. A terminal wraps texts at words, but no commands, so that they can be pasted."""
    title = Text.assemble(
        f"ComfyUI Gateway {VERSION} is running at ", (running.url, "bold green"), ". Ctrl-C stops it."
    )
    fields = [*_addresses(running), _access(running)]
    if console.is_terminal:
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in fields:
            grid.add_row(f"  {name}", value)
        console.print(title, grid, sep="\n")
    else:
        for line in (title, *(Text.assemble(f"  {name:<9}", value) for name, value in fields)):
            console.print(line, soft_wrap=True)
    for command in _commands(running):
        console.print(command, soft_wrap=True)


def _addresses(running: RunningGateway) -> list[tuple[str, Text]]:
    signed_with = f"the secret in {running.webhook_secret}" if running.webhook_secret else "WEBHOOK_SECRET"
    fields = {
        "Docs": f"{running.url}/docs",
        "Health": f"{running.url}/health",
        "ComfyUI": "simulated" if running.simulated else running.comfyui_url,
        "": f"No ComfyUI at {running.comfyui_url} (COMFYUI_URL): images are placeholders." if running.simulated else "",
        "Data": str(running.data_dir or "deleted on exit (--ephemeral)"),
        "Logs": str(running.logs),
        "Webhooks": f"signed with {signed_with}",
    }
    return [(name, Text(value, style="" if name else _WARNING)) for name, value in fields.items() if value]


def _access(running: RunningGateway) -> tuple[str, Text]:
    command = running.command
    if running.api_keys:
        or_token = " or JWT" if running.tokens else ""
        return "Access", Text(f"API key{or_token}. Set ${command.api_key_variable} for the commands below.")
    if running.tokens:
        return "Access", Text(f"JWT. Set ${command.token_variable} for the commands below.")
    return "Access", Text(
        "Open: every caller is admin. To restrict, set API_KEYS=a-long-random-key:admin.", style=_WARNING
    )


def _commands(running: RunningGateway) -> list[str]:
    command = running.command
    credentials = ""
    if running.api_keys:
        credentials = f' -H "X-API-Key: ${command.api_key_variable}"'
    elif running.tokens:
        credentials = f' -H "Authorization: Bearer ${command.token_variable}"'
    url_option = "" if running.url == command.default_url else f" --url {running.url}"
    return [
        "Create an image, in another terminal:",
        f'  {command.program} submit sdxl_realism_v1 -i prompt="a lighthouse at dawn" -o images{url_option}',
        "Or by HTTP:",
        f"  curl {running.url}/jobs{credentials} -H 'Content-Type: application/json' -d '{_BODY}'",
    ]
