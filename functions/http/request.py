"""One HTTP request, as middlewares and handlers see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.http.correlation import CORRELATION_HEADER
from gateway.errors import CredentialsRejectedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_lambda_powertools.event_handler import APIGatewayRestResolver
    from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

    from gateway.domain.principal import Principal


class Request:
    """The request of an app, from its first middleware to its response.

    `principal`: the authenticated caller, or None. `rejection`: set when the request carried bad credentials.
    `response_headers`: added to the response whatever it is, an error included.
    """

    def __init__(self, app: APIGatewayRestResolver, correlation_id: str) -> None:
        self._app = app
        self.correlation_id = correlation_id
        self.principal: Principal | None = None
        self.rejection: CredentialsRejectedError | None = None
        self.response_headers: dict[str, str] = {CORRELATION_HEADER: correlation_id}

    @property
    def event(self) -> APIGatewayProxyEvent:
        """The event of API Gateway."""
        event: APIGatewayProxyEvent = self._app.current_event
        return event

    @property
    def caller(self) -> Principal:
        """The authenticated caller, on routes that require one. Raises CredentialsRejectedError on others."""
        if self.principal is None:
            raise CredentialsRejectedError("Authentication required.")
        return self.principal

    @property
    def is_options(self) -> bool:
        """Whether only the path's methods are requested, as browsers do before the request itself (preflight).

        Such a request carries no credentials, and its response comes from the route table: it is not counted.
        """
        return bool(self.event.http_method.upper() == "OPTIONS")

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of the query string."""
        return self.event.query_string_parameters or {}

    def headers_of(self, name: str) -> Sequence[str]:
        """Return all values of a header, one per time that the client sent it."""
        sent = self.event.get("multiValueHeaders") or {}
        return [value for key, values in sent.items() if key.lower() == name.lower() for value in values]

    def header(self, name: str) -> str | None:
        """Return a header's value; its name's case does not matter."""
        return self.event.headers.get(name)
