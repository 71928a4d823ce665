"""Print the banner of local mode: addresses, folders, and the first commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from gateway.__about__ import VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

_BODY = """{"workflowId": "sdxl_realism_v1", "inputs": {"prompt": "a lighthouse at dawn"}}"""


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
    """Print the banner: in color on a terminal, plain elsewhere. Lines are not wrapped: commands can be pasted."""
    for line in _lines(running):
        console.print(line, soft_wrap=True)


def _lines(running: RunningGateway) -> list[Text]:
    warning = "yellow"
    lines = [
        Text.assemble(f"ComfyUI Gateway {VERSION} is running at ", (running.url, "bold green"), ". Ctrl-C stops it."),
        _field("Docs", f"{running.url}/docs"),
        _field("Health", f"{running.url}/health"),
        _field("ComfyUI", "simulated" if running.simulated else running.comfyui_url),
    ]
    if running.simulated:
        missing = f"No ComfyUI at {running.comfyui_url} (COMFYUI_URL): images are placeholders."
        lines.append(_field("", missing, warning))
    lines += [
        _field("Data", str(running.data_dir or "deleted on exit (--ephemeral)")),
        _field("Logs", str(running.logs)),
    ]
    signed_with = f"the secret in {running.webhook_secret}" if running.webhook_secret else "WEBHOOK_SECRET"
    lines.append(_field("Webhooks", f"signed with {signed_with}"))
    credentials = ""
    if running.api_keys:
        credentials = f' -H "X-API-Key: ${running.command.api_key_variable}"'
        or_token = " or JWT" if running.tokens else ""
        lines.append(
            _field(
                "Access",
                f"API key{or_token}. Set ${running.command.api_key_variable} for the commands below.",
            )
        )
    elif running.tokens:
        credentials = f' -H "Authorization: Bearer ${running.command.token_variable}"'
        lines.append(_field("Access", f"JWT. Set ${running.command.token_variable} for the commands below."))
    else:
        open_to_all = "Open: every caller is admin. To restrict, set API_KEYS=some-key:admin."
        lines.append(_field("Access", open_to_all, warning))
    submit = f"{running.command.program} submit sdxl_realism_v1"
    elsewhere = "" if running.url == running.command.default_url else f" --url {running.url}"
    return [
        *lines,
        Text("Create an image, in another terminal:"),
        Text(f'  {submit} -i prompt="a lighthouse at dawn" -o images{elsewhere}'),
        Text("Or by HTTP:"),
        Text(f"  curl {running.url}/jobs{credentials} -H 'Content-Type: application/json' -d '{_BODY}'"),
    ]


def _field(name: str, value: str, style: str = "") -> Text:
    return Text.assemble((f"  {name:<9}", "dim"), (value, style))
