"""`comfyui-gateway init`: a gateway in this folder, or the way to one that runs elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import connection, env_file
from cli.exit_codes import CommandFailedError, ExitCode
from cli.printer import Printer

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENV = Path(".env")
_COMFYUI_URL = "http://127.0.0.1:8188"
_PORT = 3000


def init(  # noqa: PLR0913  a command's options
    *,
    here: Annotated[bool, typer.Option("--here", help="Set a gateway up in this folder: writes .env.")] = False,
    url: Annotated[str | None, typer.Option(help="Address of a gateway that runs: writes a profile for it.")] = None,
    api_key: Annotated[
        str | None,
        typer.Option(help="Its key. Others on this machine can see a command line: rather COMFYUI_GATEWAY_API_KEY."),
    ] = None,
    profile: Annotated[str, typer.Option(help="The profile's name.")] = connection.DEFAULT_PROFILE,
    comfyui_url: Annotated[str | None, typer.Option(help=f"The ComfyUI to use; {_COMFYUI_URL} unless you say.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help=f"To listen on; {_PORT} unless you say.")] = None,
    key: Annotated[
        bool | None, typer.Option("--key/--no-key", help="Ask callers for an API key, which is made; else anybody.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")] = False,
) -> None:
    """Set up a gateway in this folder, or a profile for one that runs elsewhere.

    It asks for what is not given. What it writes can be read by you alone; nothing that is there is replaced unasked.
    `comfyui-gateway run` reads .env in its folder, other commands read ~/.config/comfyui-gateway/PROFILE.env.

    Try:

      comfyui-gateway init --here --key

      comfyui-gateway init --url https://images.example.com --profile prod
    """
    if here and url:
        raise CommandFailedError("Say --here or --url, not both", ExitCode.USAGE)
    if not here and url is None:
        url = _ask(
            "Address of a gateway that runs already, or nothing to set one up in this folder", "", "--here or --url"
        )
    files = (
        _remote(url, api_key, profile)
        if url
        else _local(comfyui_url or _COMFYUI_URL, port or _PORT, profile, with_key=_with_key(key=key, asking=not here))
    )
    taken = [file for file in files if file.exists()]
    said = f"{' and '.join(map(str, taken))} {'is' if len(taken) == 1 else 'are'} there already"
    if taken and not force and sys.stdin.isatty():
        force = typer.confirm(f"{said}. Replace?", err=True)
    if taken and not force:
        way = "--force replaces what is there"
        if taken != [_ENV]:  # as for a second gateway, in another folder
            way += ", --profile NAME writes another profile"
        raise CommandFailedError(f"{said}; {way}", ExitCode.REFUSED)
    for file, text in files.items():
        env_file.write(file, text, replace=force)
    screen = Printer(as_json=as_json)
    if as_json:
        screen.data({"written": [str(file) for file in files]})
        return
    for file in files:
        screen.line(f"Wrote {file}")
    screen.note("Next: comfyui-gateway health" if url else "Next: comfyui-gateway run")


def _ask(question: str, default: str, options: str) -> str:
    if not sys.stdin.isatty():
        raise CommandFailedError(f"There is no terminal to ask at: say {options}", ExitCode.USAGE)
    return str(typer.prompt(question, default=default, show_default=bool(default), err=True))


def _with_key(*, key: bool | None, asking: bool) -> bool:
    if key is not None:
        return key
    return typer.confirm("Ask callers for an API key?", default=True, err=True) if asking else True


def _remote(url: str, api_key: str | None, profile: str) -> Mapping[Path, str]:
    """Make a profile for a gateway that runs."""
    address = connection.checked_url(url)
    credential = api_key or os.environ.get(connection.API_KEY)
    if credential is None and sys.stdin.isatty():
        credential = typer.prompt("API key, or nothing", default="", show_default=False, hide_input=True, err=True)
    return {connection.profile_file(profile, os.environ): _profile(address, credential)}


def _local(comfyui_url: str, port: int, profile: str, *, with_key: bool) -> Mapping[Path, str]:
    """Make a gateway's settings, and a profile where the commands would not find it without."""
    connection.checked_url(comfyui_url, "--comfyui-url", _COMFYUI_URL)
    key = _new_key() if with_key else None
    files = {_ENV: _settings(comfyui_url, port, key)}
    if key or port != _PORT:
        file = connection.profile_file(profile, os.environ)
        files[file] = _profile(f"http://127.0.0.1:{port}", key)
    return files


def _new_key() -> str:
    from gateway.domain import timestamps  # noqa: PLC0415  only this way needs it
    from gateway.domain.principal import Role, mint_key  # noqa: PLC0415  likewise

    return mint_key(name="init", owner="init", role=Role.ADMIN, now=timestamps.now())[0]


def _settings(comfyui_url: str, port: int, key: str | None) -> str:
    access = env_file.line("API_KEYS", f"{key}:admin") if key else "# API_KEYS=some-key:admin,other-key:user\n"
    return (
        "# Settings of the gateway in this folder: `comfyui-gateway run` reads them. Variables that are set win.\n"
        "# Keep this file to yourself, and out of version control. All settings: docs/configuration.md\n"
        "\n"
        "# The ComfyUI to use. If none answers there, images are placeholders of a simulator.\n"
        f"{env_file.line('COMFYUI_URL', comfyui_url)}"
        "\n"
        "# Where the API listens. Other machines reach it with HOST=0.0.0.0, which takes API_KEYS.\n"
        "# HOST=127.0.0.1\n"
        f"PORT={port}\n"
        "\n"
        "# Who gets in: key:role, with commas between. Without any, whoever reaches it is admin.\n"
        f"{access}"
        "\n"
        "# Where jobs, files and logs are kept.\n"
        "# DATA_DIR=./data\n"
        "\n"
        "# Signs webhooks; one is made and kept in DATA_DIR if this is not set.\n"
        "# WEBHOOK_SECRET=whsec_…\n"
    )


def _profile(url: str, key: str | None) -> str:
    return (
        "# How `comfyui-gateway` reaches a gateway. Keep this file to yourself: it may hold a key.\n"
        f"{env_file.line(connection.URL, url)}"
        f"{env_file.line(connection.API_KEY, key) if key else f'# {connection.API_KEY}=…' + chr(10)}"
    )
