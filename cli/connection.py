"""Selects the gateway and the credentials of a command: from its options, the environment, or a profile."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cli import env_file
from cli.exit_codes import CommandFailedError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL_URL = "http://127.0.0.1:3000"
DEFAULT_PROFILE = "default"
URL, API_KEY, TOKEN, PROFILE = (f"COMFYUI_GATEWAY_{name}" for name in ("URL", "API_KEY", "TOKEN", "PROFILE"))
_PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MAX_CREDENTIAL_CHARACTERS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Address of a gateway, and credentials for it: an API key, a token, or none.

    `exposed_file`: the profile with the key or token, if other users can read it.
    """

    url: str
    api_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    exposed_file: Path | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Headers that authenticate a request."""
        if self.api_key:
            return {"X-API-Key": self.api_key}
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def find(
    *, url: str | None, api_key: str | None, token: str | None, profile: str | None, environment: Mapping[str, str]
) -> Connection:
    """Return the connection that options, environment and profile select.

    A profile's credentials are used for its own address only, never for one from an option or the environment.
    Raises CommandFailedError.
    """
    named = profile or environment.get(PROFILE)
    file = profile_file(named or DEFAULT_PROFILE, environment)
    stored = env_file.read(file)
    if stored is None and named:
        raise CommandFailedError(
            f"There is no profile {named}",
            ExitCode.NOT_FOUND,
            advice=f"Create it: comfyui-gateway init --profile {named} --url URL",
        )
    stored = stored or {}
    sources = (stored, environment) if profile else (environment, stored)
    address = checked_url(url or next(filter(None, (source.get(URL) for source in sources)), LOCAL_URL))
    credentials: tuple[Mapping[str, str], ...] = ({API_KEY: api_key or "", TOKEN: token or ""}, *sources)
    for source in credentials:
        if source is stored and address != stored.get(URL, LOCAL_URL).rstrip("/"):
            continue
        if source.get(API_KEY) or source.get(TOKEN):
            return Connection(
                url=address,
                api_key=_credential(source.get(API_KEY)),
                token=_credential(source.get(TOKEN)),
                exposed_file=file if source is stored and env_file.is_exposed(file) else None,
            )
    return Connection(url=address)


def profile_file(name: str, environment: Mapping[str, str]) -> Path:
    """Return the path of a profile. Raises CommandFailedError for an invalid name."""
    if not _PROFILE_NAME.fullmatch(name):
        raise CommandFailedError("The name of a profile may have letters, digits, - and _ only", ExitCode.USAGE)
    base = environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME', '~')}/.config"
    return Path(base).expanduser() / "comfyui-gateway" / f"{name}.env"


def checked_url(text: str, name: str = "The gateway's URL", example: str = LOCAL_URL) -> str:
    """Validate an address, and remove a slash at its end. Raises CommandFailedError, which does not quote it."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415  `--help` does without it

    from gateway.settings import HttpUrl  # noqa: PLC0415  `--help` does without it

    try:
        return str(TypeAdapter(HttpUrl).validate_python(text))
    except ValidationError:
        message = f"{name} must be an address like {example}, with http:// or https://, and without user, ? and #"
        raise CommandFailedError(message, ExitCode.USAGE) from None


def _credential(text: str | None) -> str | None:
    # Other characters would change the meaning of the header.
    if text and not (text.isascii() and text.isprintable() and len(text) <= _MAX_CREDENTIAL_CHARACTERS):
        raise CommandFailedError("The API key or token has invalid characters", ExitCode.NOT_ALLOWED)
    return text or None
