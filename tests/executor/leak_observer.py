"""Collect everything that is written: tables, files, events, logs and responses; everything but the job queues."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from executor import log as executor_log
from functions.logs import api_logger, event_logger
from functions.wiring.workflows import WorkflowWiring
from gateway.aws.dynamodb.compression import unpack
from gateway.settings import ApiSettings
from tests.component.api import AwsGateway

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from gateway.aws.clients import Clients
    from tests.component.api import Response


class RecordingGateway(AwsGateway):
    """A gateway that keeps all its responses."""

    def __init__(self, environment: dict[str, str], clients: Clients, **settings: str) -> None:
        wiring = WorkflowWiring(ApiSettings.from_environment({**environment, "CHOSEN_KEYS": "true", **settings}))
        wiring._clients = clients  # making them takes longer than most tests
        super().__init__(wiring, clients, environment["TABLE_NAME"])
        self.responses: list[Response] = []

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Handle a request, and keep the response."""
        response = super().send(method, target, headers, body)
        self.responses.append(response)
        return response


class LeakObserver:
    """Collects what one test's gateway and executors write, from its creation on."""

    def __init__(self, gateway: RecordingGateway, environment: dict[str, str], patch: pytest.MonkeyPatch) -> None:
        self._gateway = gateway
        self._clients = gateway.clients
        self._environment = environment
        self.log = io.StringIO()
        for logger in (api_logger, event_logger, executor_log.logger):
            patch.setattr(logger.registered_handler, "stream", self.log)
        self._events_url = self._subscribe_to_events()

    def everything(self) -> dict[str, str]:
        """Return everything, by where it was written."""
        return {
            "tables": json.dumps(self._items(), ensure_ascii=False, default=unpack),
            "files": "\n".join(self._objects()),
            "events": "\n".join(self._events()),
            "log": self.log.getvalue(),
            "responses": "\n".join(f"{each.headers} {_text(each.body)}" for each in self._gateway.responses),
        }

    def _items(self) -> list[dict[str, Any]]:
        pages = self._clients.dynamodb.get_paginator("scan").paginate(TableName=self._environment["TABLE_NAME"])
        return [item for page in pages for item in page["Items"]]

    def _objects(self) -> list[str]:
        bucket = self._environment["BUCKET_NAME"]
        pages = self._clients.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        found = []
        for key in [item["Key"] for page in pages for item in page.get("Contents", [])]:
            response = self._clients.s3.get_object(Bucket=bucket, Key=key)
            found.append(f"{key} {response['ResponseMetadata']['HTTPHeaders']} {_text(response['Body'].read())}")
        return found

    def _subscribe_to_events(self) -> str:
        bus = self._environment["EVENT_BUS_NAME"]
        url = self._clients.sqs.create_queue(QueueName=f"{bus}-observer")["QueueUrl"]
        found: Any = self._clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        # Every event has a source.
        self._clients.events.put_rule(
            Name=f"{bus}-observer", EventBusName=bus, EventPattern=json.dumps({"source": [{"exists": True}]})
        )
        targets: Any = [{"Id": "observer", "Arn": found["Attributes"]["QueueArn"]}]
        self._clients.events.put_targets(Rule=f"{bus}-observer", EventBusName=bus, Targets=targets)
        return url

    def _events(self) -> list[str]:
        events: list[str] = []
        while messages := self._clients.sqs.receive_message(
            QueueUrl=self._events_url, MaxNumberOfMessages=10, WaitTimeSeconds=1
        ).get("Messages"):
            events += [message["Body"] for message in messages]
            for message in messages:
                self._clients.sqs.delete_message(QueueUrl=self._events_url, ReceiptHandle=message["ReceiptHandle"])
        return events


def _text(content: bytes) -> str:
    """Decode bytes so that ASCII is kept."""
    return content.decode("latin-1")
