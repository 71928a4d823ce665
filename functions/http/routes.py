"""What a route of the HTTP API is: plain data, read by the router, local mode, the deployment and the API document.

This module and the route tables import no handler, so that reading a table never loads the code behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Access(Enum):
    """Who may call a route."""

    ANYONE = "anyone"
    ANYONE_MORE_FOR_CALLERS = "anyone; authenticated callers get more details"
    AUTHENTICATED = "authenticated callers"
    ADMIN = "admins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method on one path.

    `path` is written as in OpenAPI: `/jobs/{jobId}`; a last parameter written `{name+}` also matches slashes, as in
    API Gateway. `request` and `responses` name types in the surface's `requests` and `responses` modules; they are
    names because only the API document needs the types, and serving a request must not pay for importing them.
    """

    method: str
    path: str
    operation_id: str
    summary: str  # an imperative sentence without a full stop, for the API document and for messages
    access: Access
    function: str  # name of the Lambda function that serves it
    request: str | None = None  # None: no body
    responses: Mapping[int, str | None]  # status: type of the JSON body; None: no JSON body
