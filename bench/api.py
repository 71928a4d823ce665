"""Call the handlers as Lambda does, and record their calls to AWS."""

from __future__ import annotations

import json
import os
import tempfile
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from botocore.config import Config

from functions.logs import api_logger
from functions.routing import function_for, module_of
from functions.wiring.workflows import WorkflowWiring
from gateway.aws.clients import Clients
from gateway.aws.dynamodb.api_key_store import DynamoApiKeyStore
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.audit import Authorship
from gateway.domain.principal import ApiKey, Role, hash_key
from gateway.domain.workflow import WorkflowTemplate
from gateway.settings import ApiSettings
from local.api_event import HttpRequest, to_event
from local.emulator import Emulator
from local.lambda_runtime import LocalContext
from local.provision import provision

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator

    from aws_lambda_powertools.utilities.typing import LambdaContext

USER_KEY, ADMIN_KEY = "key-of-ada", "key-of-root"
USER = "ada"
WORKFLOW = "sdxl_realism_v1"


@dataclass(slots=True)
class Call:
    """One call to AWS: bytes of the bodies, without headers."""

    operation: str  # `dynamodb.Query`
    sent: int
    received: int = 0


class Api:
    """Responds to requests with the handlers of one wiring."""

    def __init__(self, wiring: WorkflowWiring) -> None:
        self._handler_of = cache(lambda name: import_module(module_of(name)).handler.make_handler(wiring))

    def request(
        self, method: str, path: str, *, query: str = "", body: object = None, key: str = USER_KEY
    ) -> Callable[[], dict[str, Any]]:
        """Prepare a request; calling the result sends it and returns the response."""
        request = HttpRequest(
            method=method,
            path=path,
            query=query,
            headers=[("X-API-Key", key), ("Content-Type", "application/json"), ("Accept", "*/*")],
            body=b"" if body is None else json.dumps(body).encode(),
            source_ip="192.0.2.1",
            scheme="https",
            port=443,
        )
        text = json.dumps(to_event(request, request_id=str(uuid.uuid4()), received_at=SYSTEM_CLOCK.now()))
        name = function_for(method, path)
        handler = self._handler_of(name)
        context = cast("LambdaContext", LocalContext(name, "r", time.monotonic() + 3600))

        def send() -> dict[str, Any]:
            response: dict[str, Any] = handler(json.loads(text), context)  # Lambda's runtime parses it as well
            if response["statusCode"] >= HTTPStatus.BAD_REQUEST:
                raise RuntimeError(response["body"])
            return response

        return send


def bundled_workflows() -> dict[str, WorkflowTemplate]:
    """Read the bundled workflows."""
    folder = resources.files("workflows")
    names = [file.name.removesuffix(".schema.json") for file in folder.iterdir() if file.name.endswith(".schema.json")]
    return {
        name: WorkflowTemplate.register(
            json.loads((folder / f"{name}.json").read_text()),
            json.loads((folder / f"{name}.schema.json").read_text()),
            None,
        )
        for name in names
    }


@contextmanager
def emulated() -> Iterator[tuple[WorkflowWiring, Clients]]:
    """Run the embedded AWS with the bundled workflows, a user and an admin, without a rate limit.

    The environment is that of the functions meanwhile.
    """
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder, Emulator(state_dir=None, work_dir=Path(folder)) as emulator:
        os.environ.update(emulator.environment)
        clients = Clients()
        os.environ.update(
            provision(clients, prefix="bench-", retention_days=30), RATE_LIMIT_MAX="1000000", CHOSEN_KEYS="true"
        )
        settings = ApiSettings.from_environment(os.environ)
        wiring = WorkflowWiring(settings)
        measured = wiring._clients  # noqa: SLF001  the clients of the handlers
        # With 100,000 jobs one Query takes the embedded AWS seconds, on a busy machine more than the default timeout.
        measured._config = measured._config.merge(Config(read_timeout=60))  # noqa: SLF001  as above
        keys = DynamoApiKeyStore(clients.dynamodb, settings.table_name)
        admin = ApiKey(
            sha256=hash_key(ADMIN_KEY), name="root", owner="root", role=Role.ADMIN, created_at=SYSTEM_CLOCK.now()
        )
        keys.put(admin)
        keys.put(
            ApiKey(sha256=hash_key(USER_KEY), name=USER, owner=USER, role=Role.USER, created_at=SYSTEM_CLOCK.now())
        )
        for name, template in bundled_workflows().items():
            wiring.workflows.create(name, name, "", template, Authorship(actor=admin.principal, correlation_id="bench"))
        try:
            yield wiring, measured
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def counting(clients: Clients) -> Iterator[list[Call]]:
    """Record the calls of these clients during the block."""
    calls: list[Call] = []

    def sent(event_name: str, request: Any, **_: object) -> None:  # noqa: ANN401  botocore's
        calls.append(Call(event_name.removeprefix("before-send."), int(request.headers.get("Content-Length", 0))))

    def received(http_response: Any, **_: object) -> None:  # noqa: ANN401  botocore's
        calls[-1].received = int(http_response.headers.get("Content-Length", 0))

    events = [client.meta.events for client in (clients.dynamodb, clients.sqs, clients.s3)]
    for each in events:
        each.register("before-send", sent)
        each.register("after-call", received)
    try:
        yield calls
    finally:
        for each in events:
            each.unregister("before-send", sent)
            each.unregister("after-call", received)


def silence_the_log() -> None:
    """Discard log lines; they are still formatted."""
    handler = cast("logging.StreamHandler[TextIO]", api_logger.registered_handler)
    handler.setStream(Path(os.devnull).open("w"))  # noqa: SIM115  open until the process ends
