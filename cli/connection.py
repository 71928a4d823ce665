"""Which gateway a command talks to, and as whom: what the command line says, else the environment, else a profile."""

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
    """A gateway's address, and what to show to it: a key, or else a token, or nothing.

    `exposed_file`: the profile that the key or token is from, where others than its owner can read it.
    """

    url: str
    api_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    exposed_file: Path | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What a request bears."""
        if self.api_key:
            return {"X-API-Key": self.api_key}
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def find(
    *, url: str | None, api_key: str | None, token: str | None, profile: str | None, environment: Mapping[str, str]
) -> Connection:
    """Put together what each of them says.

    A profile's credentials are for its own address: another one, from the command line or the environment, gets none
    of them. Raises CommandFailedError.
    """
    wanted = profile or environment.get(PROFILE)
    file = profile_file(wanted or DEFAULT_PROFILE, environment)
    kept = env_file.read(file)
    if kept is None and wanted:
        raise CommandFailedError(
            f"There is no profile {wanted}. Make it: comfyui-gateway init --profile {wanted} --url URL",
            ExitCode.NOT_FOUND,
        )
    kept = kept or {}
    sources = (kept, environment) if profile else (environment, kept)
    address = checked_url(url or next(filter(None, (source.get(URL) for source in sources)), LOCAL_URL))
    credentials: tuple[Mapping[str, str], ...] = ({API_KEY: api_key or "", TOKEN: token or ""}, *sources)
    for source in credentials:
        if source is kept and address != kept.get(URL, LOCAL_URL).rstrip("/"):
            continue
        if source.get(API_KEY) or source.get(TOKEN):
            return Connection(
                url=address,
                api_key=_credential(source.get(API_KEY)),
                token=_credential(source.get(TOKEN)),
                exposed_file=file if source is kept and env_file.is_exposed(file) else None,
            )
    return Connection(url=address)


def profile_file(name: str, environment: Mapping[str, str]) -> Path:
    """Name a profile's file. Raises CommandFailedError for a name that is none."""
    if not _PROFILE_NAME.fullmatch(name):
        raise CommandFailedError("A profile's name has letters, digits, - and _ only", ExitCode.USAGE)
    base = environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME', '~')}/.config"
    return Path(base).expanduser() / "comfyui-gateway" / f"{name}.env"


def checked_url(text: str, whose: str = "The gateway's URL", example: str = LOCAL_URL) -> str:
    """Check an address, without a slash at its end. Raises CommandFailedError, which does not quote it."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415  `--help` need not wait for it

    from gateway.settings import HttpUrl  # noqa: PLC0415  likewise

    try:
        return str(TypeAdapter(HttpUrl).validate_python(text))
    except ValidationError:
        message = f"{whose} must be an address like {example}, with http:// or https://, and without user, ? and #"
        raise CommandFailedError(message, ExitCode.USAGE) from None


def _credential(text: str | None) -> str | None:
    # A header would carry anything else to places where it means something else.
    if text and not (text.isascii() and text.isprintable() and len(text) <= _MAX_CREDENTIAL_CHARACTERS):
        raise CommandFailedError("The API key or token has characters that neither has", ExitCode.NOT_ALLOWED)
    return text or None
