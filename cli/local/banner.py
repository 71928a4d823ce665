"""What a person sees when local mode is up."""

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
class Running:
    """What is running."""

    url: str
    comfyui_url: str
    simulated: bool  # nothing answers at comfyui_url
    data_dir: Path | None  # None when nothing is kept
    logs: Path
    api_keys: bool  # taken
    tokens: bool  # JWTs are taken
    webhook_secret: Path | None  # the file of the one that was made; None when one is set


def show(running: Running, console: Console) -> None:
    """Print it: coloured on a terminal, plain elsewhere; lines are never broken, so that the command can be pasted."""
    for line in _lines(running):
        console.print(line, soft_wrap=True)


def _lines(running: Running) -> list[Text]:
    warning = "yellow"
    lines = [
        Text.assemble(f"ComfyUI Gateway {VERSION} is running at ", (running.url, "bold green"), ". Ctrl-C stops it."),
        _field("Docs", f"{running.url}/docs"),
        _field("Health", f"{running.url}/health"),
        _field("ComfyUI", "simulated" if running.simulated else running.comfyui_url),
    ]
    if running.simulated:
        nobody = f"Images are placeholders: no ComfyUI answers at {running.comfyui_url} (COMFYUI_URL)."
        lines.append(_field("", nobody, warning))
    lines += [
        _field("Data", str(running.data_dir or "not kept (--ephemeral)")),
        _field("Logs", str(running.logs)),
    ]
    signed_with = f"the secret in {running.webhook_secret}" if running.webhook_secret else "WEBHOOK_SECRET"
    lines.append(_field("Webhooks", f"signed with {signed_with}"))
    credentials = ""
    if running.api_keys:
        credentials = ' -H "X-API-Key: $API_KEY"'
        or_token = " or JWT" if running.tokens else ""
        lines.append(_field("Access", f"By API key{or_token}. Put a key in $API_KEY for the command below."))
    elif running.tokens:
        credentials = ' -H "Authorization: Bearer $TOKEN"'
        lines.append(_field("Access", "By JWT. Put one in $TOKEN for the command below."))
    else:
        open_to_all = "Open: whoever reaches it is admin. Set API_KEYS=some-key:admin or JWT_SECRET."
        lines.append(_field("Access", open_to_all, warning))
    return [
        *lines,
        Text("Make an image:"),
        Text(f"  curl {running.url}/jobs{credentials} -H 'Content-Type: application/json' -d '{_BODY}'"),
        Text("See it, with the jobId of the answer in place of JOB_ID:"),
        Text(f"  curl{credentials} '{running.url}/jobs/JOB_ID?wait=25'"),
    ]


def _field(name: str, value: str, style: str = "") -> Text:
    return Text.assemble((f"  {name:<9}", "dim"), (value, style))
