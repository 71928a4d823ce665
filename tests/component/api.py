"""A gateway without a network: turns requests into API Gateway events and calls the Lambda handlers.

Every response is validated against the OpenAPI document, so each test of the API also tests the document.
"""

from __future__ import annotations

import base64
import importlib
import json as json_module
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from functions.routing import function_for, module_of
from functions.wiring.workflows import WorkflowWiring
from gateway.aws.dynamodb.api_key_store import DynamoApiKeyStore
from gateway.aws.resources import REQUEST_SECONDS
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.principal import ApiKey, Role, hash_key
from gateway.settings import ApiSettings
from local.api_event import HttpRequest, to_event
from local.lambda_runtime import invoke
from testing.ports import InMemoryPorts
from tests.component.contract import contract_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from functions.wiring.entry import Handler
    from gateway.aws.clients import Clients
    from gateway.ports import ApiKeyStore

ADMIN_KEY, ADA_KEY, BOB_KEY = "key-of-root", "key-of-ada", "key-of-bob"


@dataclass(frozen=True)
class Response:
    """A response as a client receives it."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @cached_property
    def json(self) -> Any:  # noqa: ANN401  JSON
        """The body, parsed as strict JSON: NaN and Infinity are errors."""
        return json_module.loads(self.body, parse_constant=_reject_constant)


def _reject_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not valid JSON")


@dataclass(frozen=True)
class Caller:
    """A client with headers that it sends with each request."""

    gateway: Gateway
    headers: Mapping[str, str] = field(default_factory=dict)

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> Response:
        """GET a path, query included."""
        return self.send("GET", target, headers=headers)

    def post(self, target: str, body: object = b"", headers: Mapping[str, str] | None = None) -> Response:
        """POST bytes unchanged, or anything else as JSON."""
        content = body if isinstance(body, bytes) else json_module.dumps(body).encode()
        return self.send("POST", target, content, headers=headers)

    def put(self, target: str, body: object) -> Response:
        """PUT a body as JSON."""
        return self.send("PUT", target, json_module.dumps(body).encode())

    def delete(self, target: str) -> Response:
        """DELETE a path."""
        return self.send("DELETE", target)

    def send(self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Response:
        """Send any request."""
        return self.gateway.send(method, target, {**self.headers, **(headers or {})}, body)


# Settings that name AWS resources, which in-memory ports do not have.
_RESOURCE_SETTINGS = (
    "TABLE_NAME",
    "BUCKET_NAME",
    "EVENT_BUS_NAME",
    "WEBHOOK_QUEUE_URL",
    "HIGH_QUEUE_URL",
    "NORMAL_QUEUE_URL",
    "LOW_QUEUE_URL",
)


class Gateway:
    """The warm functions of one deployment, on the ports of its wiring."""

    def __init__(self, wiring: WorkflowWiring, keys: ApiKeyStore) -> None:
        self.source_ip = "192.0.2.1"  # shared by all callers
        self.wiring = wiring
        self.keys = keys
        self._handlers: dict[str, Handler] = {}

    @classmethod
    def in_memory(cls, **settings: str) -> Gateway:
        """Create a gateway on new in-memory ports."""
        ports = InMemoryPorts(SYSTEM_CLOCK)
        wiring = WorkflowWiring(
            ApiSettings.from_environment(
                {**dict.fromkeys(_RESOURCE_SETTINGS, "in-memory"), "CHOSEN_KEYS": "true", **settings}
            )
        )
        wiring.__dict__.update(  # instead of the values that the cached properties would create
            jobs=ports.jobs,
            job_list=ports.job_list,
            job_counts=ports.job_counts,
            executors=ports.executors,
            bus=ports.events,
            objects=ports.objects,
            outputs=ports.objects,
            deliveries=ports.deliveries,
            webhook_queue=ports.webhooks,
            audit=ports.audit,
            workflows=ports.workflows,
            results=ports.results if wiring.settings.cache_enabled else None,
            queue=ports.queue,
            _keys=ports.keys,
            _rates=ports.rates,
        )
        return cls(wiring, ports.keys)

    @classmethod
    def on_aws(cls, environment: dict[str, str], clients: Clients, **settings: str) -> AwsGateway:
        """Create a gateway on the embedded AWS. The given settings override those of the environment."""
        wiring = WorkflowWiring(ApiSettings.from_environment({**environment, "CHOSEN_KEYS": "true", **settings}))
        wiring._clients = clients  # creating clients takes longer than most tests
        return AwsGateway(wiring, clients, environment["TABLE_NAME"])

    @cached_property
    def admin(self) -> Caller:
        """A caller with an admin's key."""
        return self.caller(ADMIN_KEY, "root", Role.ADMIN)

    @cached_property
    def ada(self) -> Caller:
        """A caller with a user's key."""
        return self.caller(ADA_KEY, "ada")

    @cached_property
    def bob(self) -> Caller:
        """A caller with another user's key."""
        return self.caller(BOB_KEY, "bob")

    @property
    def anonymous(self) -> Caller:
        """A caller without a key."""
        return Caller(self)

    def caller(self, key: str, owner: str, role: Role = Role.USER, **fields: Any) -> Caller:  # noqa: ANN401  the fields of a key
        """Create a key, and return a caller that sends it."""
        record = ApiKey(
            sha256=hash_key(key), name=owner, owner=owner, role=role, created_at=SYSTEM_CLOCK.now(), **fields
        )
        self.keys.put(record)
        return Caller(self, {"X-API-Key": key})

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Call the function that the path is routed to, and validate its response against the OpenAPI document."""
        path, _, query = target.partition("?")
        usual = {"Host": "localhost", **({"Content-Type": "application/json"} if body else {})}
        given = {name.title() for name in headers}
        headers = {**{name: value for name, value in usual.items() if name not in given}, **headers}
        request = HttpRequest(
            method=method,
            path=path,
            query=query,
            headers=list(headers.items()),
            body=body,
            source_ip=self.source_ip,
            scheme="https",
            port=443,
        )
        event = to_event(request, request_id=str(uuid.uuid4()), received_at=SYSTEM_CLOCK.now())
        name = function_for(method, path)
        response = _read(invoke(name, self._handler(name), event, timeout_seconds=REQUEST_SECONDS))
        assert not (problems := contract_problems(method, path, response)), f"{method} {path}: {problems}"
        return response

    def _handler(self, name: str) -> Handler:
        if name not in self._handlers:
            self._handlers[name] = importlib.import_module(module_of(name)).handler.make_handler(self.wiring)
        return self._handlers[name]


class AwsGateway(Gateway):
    """A gateway on the embedded AWS."""

    def __init__(self, wiring: WorkflowWiring, clients: Clients, table_name: str) -> None:
        super().__init__(wiring, DynamoApiKeyStore(clients.dynamodb, table_name))
        self.clients = clients
        self.table_name = table_name

    def stored(self, prefix: str) -> list[dict[str, Any]]:
        """Return all items of the table whose partition key starts with the prefix."""
        items: list[dict[str, Any]] = [*self.clients.dynamodb.scan(TableName=self.table_name)["Items"]]
        return [item for item in items if item["pk"]["S"].startswith(prefix)]


def _read(response: dict[str, Any]) -> Response:
    # API Gateway merges both forms of headers; multi-value headers win.
    headers = {name.lower(): value for name, value in (response.get("headers") or {}).items()}
    headers |= {name.lower(): ", ".join(values) for name, values in (response.get("multiValueHeaders") or {}).items()}
    text = response.get("body") or ""
    body = base64.b64decode(text, validate=True) if response.get("isBase64Encoded") else text.encode()
    return Response(response["statusCode"], headers, body)


@contextmanager
def aws_calls(clients: Clients) -> Iterator[list[str]]:
    """Record the calls to AWS within the block, as `service.Operation`."""
    calls: list[str] = []

    def record(event_name: str, **_: object) -> None:
        calls.append(event_name.removeprefix("before-call."))

    events = [client.meta.events for client in (clients.dynamodb, clients.sqs, clients.s3, clients.events)]
    for each in events:
        each.register("before-call", record)
    try:
        yield calls
    finally:
        for each in events:
            each.unregister("before-call", record)
