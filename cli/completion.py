"""Shell completion of ids and names, from the gateway or the table that the command line selects.

The shell waits while the user types: completion has a short time limit, and offers nothing on any failure. Texts from
elsewhere are filtered, since shells evaluate completions.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import typer  # noqa: TC002  Typer reads the annotations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cli.api import GatewayApi

Candidates = list[tuple[str, str]]  # value and help text

_MAX_SECONDS = 2.0
_MAX_CANDIDATES = 50
_MAX_HELP_CHARACTERS = 60
_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_NOT_IN_HELP = re.compile(r"[^A-Za-z0-9 _.%-]")


def job_ids(ctx: typer.Context, incomplete: str) -> Candidates:
    """Complete ids of recent jobs."""

    def fetch() -> Candidates:
        page = next(_api(ctx).job_pages({}, limit=_MAX_CANDIDATES))
        return [(job["jobId"], f"{job['status']} {job['workflowId']}") for job in page["jobs"]]

    return _matching(fetch, incomplete)


def workflow_ids(ctx: typer.Context, incomplete: str) -> Candidates:
    """Complete ids of workflows."""

    def fetch() -> Candidates:
        return [(each["id"], each["name"]) for each in _api(ctx).workflows()["workflows"]]

    return _matching(fetch, incomplete)


def key_names(ctx: typer.Context, incomplete: str) -> Candidates:
    """Complete names of API keys that can be revoked."""

    def fetch() -> Candidates:
        from cli.aws_session import AwsSession  # noqa: PLC0415  only this completion needs it
        from cli.printer import Printer  # noqa: PLC0415  only this completion needs it

        session = AwsSession(Printer(as_json=False), ctx.params.get("stage"))
        return [(key.name, f"{key.id} {key.role}") for key in session.api_keys.all() if not key.disabled]

    return _matching(fetch, incomplete)


def _api(ctx: typer.Context) -> GatewayApi:
    from cli import connection  # noqa: PLC0415  commands that are completed otherwise do without it
    from cli.api import GatewayApi  # noqa: PLC0415  commands that are completed otherwise do without it

    given = {name: ctx.params.get(name) for name in ("url", "api_key", "token", "profile")}
    return GatewayApi(connection.find(**given, environment=os.environ), timeout_seconds=_MAX_SECONDS)


def _matching(fetch: Callable[[], Candidates], incomplete: str) -> Candidates:
    found: Candidates = []

    def run() -> None:
        with suppress(Exception):  # whatever fails: a message would end up in the command line
            found.extend(_safe(fetch()))

    # In a thread, since boto3 has no limit for the whole; a daemon, so that the process exits without it.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_MAX_SECONDS)
    return [candidate for candidate in found if candidate[0].startswith(incomplete)][:_MAX_CANDIDATES]


def _safe(candidates: Iterable[tuple[str, str]]) -> Candidates:
    return [
        (value, _NOT_IN_HELP.sub("", text)[:_MAX_HELP_CHARACTERS].strip())
        for value, text in dict(candidates).items()
        if _VALUE.fullmatch(value)
    ]
