"""Job ids as people type them: a prefix is enough, as in git."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from cli.exit_codes import CommandFailedError, ExitCode
from cli.printer import SHORT_ID_CHARACTERS

if TYPE_CHECKING:
    from cli.api import GatewayApi

_PREFIX = re.compile(r"[0-9a-f][0-9a-f-]{3,34}")  # of a UUID, which has 36 characters
_TOO_SHORT = re.compile(r"[0-9a-f]{1,3}")
_MAX_PAGES = 5
_MAX_CANDIDATES = 8  # in the message


def resolve(api: GatewayApi, text: str) -> str:
    """Return the id of the recent job whose id starts with a text; a whole id, and anything else, as it is.

    The newest 1000 jobs are searched. Raises CommandFailedError if several jobs match, or none.
    """
    prefix = text.lower()
    if _TOO_SHORT.fullmatch(prefix):
        raise CommandFailedError(
            f"{text} is too short for a job id", ExitCode.USAGE, advice="Give at least 4 characters."
        )
    if not _PREFIX.fullmatch(prefix):
        return text
    found: list[str] = []
    for page in islice(api.job_pages({}), _MAX_PAGES):
        found += [job["jobId"] for job in page["jobs"] if job["jobId"].startswith(prefix)]
        # As many characters as lists show: another match is as good as impossible, and each page is a request.
        if found and len(prefix) >= SHORT_ID_CHARACTERS:
            break
    if not found:
        raise CommandFailedError(
            f"No recent job has an id that starts with {text}", ExitCode.NOT_FOUND, advice="Try the whole id."
        )
    if len(found) > 1:
        shown = ", ".join(found[:_MAX_CANDIDATES]) + (", …" if len(found) > _MAX_CANDIDATES else "")
        raise CommandFailedError(f"{text} is ambiguous: {shown}", ExitCode.USAGE, advice="Give more characters.")
    return found[0]
