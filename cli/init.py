"""`comfyui-gateway init`: sets up a gateway in this folder, or a profile for one that runs elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import connection, env_file
from cli.exit_codes import CommandFailedError, ExitCode
from cli.printer import Printer
from cli.questions import prompt
from cli.shared_options import API_KEY_HELP, JsonOption

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENV = Path(".env")
_COMFYUI_URL = "http://127.0.0.1:8188"
_PORT = 3000


def init(  # noqa: PLR0913  a command's options
    *,
    here: Annotated[bool, typer.Option("--here", help="Set up a gateway in this folder: write .env.")] = False,
    url: Annotated[str | None, typer.Option(help="Write a profile for the gateway at this address.")] = None,
    api_key: Annotated[str | None, typer.Option(help=API_KEY_HELP)] = None,
    profile: Annotated[str, typer.Option(help="Name of the profile.")] = connection.DEFAULT_PROFILE,
    comfyui_url: Annotated[
        str | None, typer.Option(help=f"With --here: address of ComfyUI. Default: {_COMFYUI_URL}.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help=f"With --here: port to listen on. Default: {_PORT}.")
    ] = None,
    key: Annotated[
        bool | None,
        typer.Option("--key/--no-key", help="Require an API key and generate one (--no-key: allow anyone)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Set up a gateway in this folder, or a profile for one that runs elsewhere.

    Ask for what is not given, and before replacing a file. `comfyui-gateway run` reads .env in its folder, other
    commands read ~/.config/comfyui-gateway/PROFILE.env. Only you can read these files.

    Examples:
      comfyui-gateway init --here --key
      comfyui-gateway init --url https://images.example.com --profile prod

    """
    if here and url:
        raise CommandFailedError("--here and --url exclude each other", ExitCode.USAGE)
    if not here and url is None:
        url = prompt("Address of a running gateway (empty to set one up in this folder)", instead="--here or --url")
    files = (
        _remote(url, api_key, profile)
        if url
        else _local(comfyui_url or _COMFYUI_URL, port or _PORT, profile, with_key=_with_key(key=key, asking=not here))
    )
    existing = [file for file in files if file.exists()]
    message = f"{' and '.join(map(str, existing))} already {'exists' if len(existing) == 1 else 'exist'}"
    if existing and not force and sys.stdin.isatty():
        force = typer.confirm(f"{message}. Replace?", err=True)
    if existing and not force:
        advice = "--force replaces them" if len(existing) > 1 else "--force replaces it"
        if existing != [_ENV]:  # as for a second gateway, in another folder
            advice += ", --profile NAME writes another profile"
        raise CommandFailedError(message, ExitCode.REFUSED, advice=f"{advice}.")
    for file, text in files.items():
        env_file.write(file, text, replace=force)
    printer = Printer(as_json=as_json)
    if as_json:
        printer.json({"written": [str(file) for file in files]})
        return
    for file in files:
        printer.line(f"Wrote {file}")
    printer.note("Next: comfyui-gateway health" if url else "Next: comfyui-gateway run")


def _with_key(*, key: bool | None, asking: bool) -> bool:
    if key is not None:
        return key
    return typer.confirm("Require an API key?", default=True, err=True) if asking else True


def _remote(url: str, api_key: str | None, profile: str) -> Mapping[Path, str]:
    """Return the profile for a running gateway, by its path."""
    address = connection.checked_url(url)
    credential = api_key or os.environ.get(connection.API_KEY)
    if credential is None and sys.stdin.isatty():
        credential = typer.prompt("API key (empty for none)", default="", show_default=False, hide_input=True, err=True)
    return {connection.profile_file(profile, os.environ): _profile(address, credential)}


def _local(comfyui_url: str, port: int, profile: str, *, with_key: bool) -> Mapping[Path, str]:
    """Return the settings of a gateway, and a profile if the commands would not find it otherwise."""
    connection.checked_url(comfyui_url, "--comfyui-url", _COMFYUI_URL)
    key = _new_key() if with_key else None
    files = {_ENV: _settings(comfyui_url, port, key)}
    if key or port != _PORT:
        file = connection.profile_file(profile, os.environ)
        files[file] = _profile(f"http://127.0.0.1:{port}", key)
    return files


def _new_key() -> str:
    from gateway.clock import SYSTEM_CLOCK  # noqa: PLC0415  only --here needs it
    from gateway.domain.principal import Role, mint_key  # noqa: PLC0415  only --here needs it

    return mint_key(name="init", owner="init", role=Role.ADMIN, now=SYSTEM_CLOCK.now())[0]


def _settings(comfyui_url: str, port: int, key: str | None) -> str:
    access = (
        env_file.line("API_KEYS", f"{key}:admin")
        if key
        else "# API_KEYS=a-long-random-key:admin,another-random-key:user\n"
    )
    return (
        "# Settings of the gateway in this folder. `comfyui-gateway run` reads them; environment variables take\n"
        "# precedence. Keep this file secret, and out of version control. All settings: docs/configuration.md\n"
        "\n"
        "# Address of ComfyUI. If it is not reachable, a simulator makes placeholder images.\n"
        f"{env_file.line('COMFYUI_URL', comfyui_url)}"
        "\n"
        "# Address of the API. HOST=0.0.0.0 makes it reachable from other machines, and requires API_KEYS.\n"
        "# HOST=127.0.0.1\n"
        f"PORT={port}\n"
        "\n"
        "# API keys, as key:role with commas between them. Without any, every caller is an admin.\n"
        f"{access}"
        "\n"
        "# Folder for jobs, files and logs.\n"
        "# DATA_DIR=./data\n"
        "\n"
        "# Signs webhooks. If it is not set, one is generated and stored in DATA_DIR.\n"
        "# WEBHOOK_SECRET=whsec_…\n"
    )


def _profile(url: str, key: str | None) -> str:
    return (
        "# Address and API key of a gateway, for `comfyui-gateway`. Keep this file secret.\n"
        f"{env_file.line(connection.URL, url)}"
        f"{env_file.line(connection.API_KEY, key) if key else f'# {connection.API_KEY}=…' + chr(10)}"
    )
