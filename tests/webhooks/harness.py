"""Delivers webhooks with the queue and the table of one test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from functions.events import webhook_delivery
from functions.webhooks.http_client import WebhookSender
from functions.wiring.events import EventWiring
from gateway.clock import SYSTEM_CLOCK
from gateway.domain import timestamps
from gateway.domain.job import Job, JobEnd, JobStatus, Output
from gateway.domain.messages import JobEndedEvent
from gateway.settings import BackgroundSettings
from tests.component.samples import new_job

if TYPE_CHECKING:
    from datetime import datetime

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from gateway.aws.clients import Clients
    from gateway.domain.delivery import Delivery

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OUTPUT = Output(filename="a.png", key="outputs/x/a.png", size=3, sha256="ab" * 32, content_type="image/png")
SETTINGS = {"WEBHOOK_SECRET": SECRET, "WEBHOOK_ALLOW_HTTP": "true", "WEBHOOK_ALLOW_LOOPBACK": "true"}


class KilledError(BaseException):
    """Simulates that the function is killed while it runs."""


class WebhookHarness:
    """The bus, the queue and the webhook function. Nothing runs in the background: a test makes each step."""

    def __init__(self, environment: dict[str, str], clients: Clients, **settings: str) -> None:
        self.clients = clients
        self.url = environment["WEBHOOK_QUEUE_URL"]
        self.wiring = EventWiring(BackgroundSettings.from_environment({**environment, **SETTINGS, **settings}))
        self.wiring._clients = clients  # creating clients takes longer than most tests
        self.wiring.sender = WebhookSender(self.wiring.callback_policy, self.wiring.resolver, seconds=0.5)

    def end_job(self, callback_url: str | None, end: JobEnd | None = None, **fields: Any) -> Job:  # noqa: ANN401  fields of a job
        """Create a job and end it, without publishing its event."""
        now = SYSTEM_CLOCK.now()
        job = self.wiring.jobs.create(new_job(callback_url=callback_url, created_at=now, **fields))
        job = self.wiring.jobs.claim(job.id, executor_id="e", now=now, lease_until=now)
        return self.wiring.jobs.finish(
            job, end or JobEnd(status=JobStatus.SUCCEEDED, completed_at=now, execution_ms=5, outputs=(OUTPUT,))
        )

    def publish_event(self, job: Job) -> None:
        """Publish the event of an ended job."""
        self.wiring.bus.publish(JobEndedEvent.of(job))

    def delivery(self, job: Job) -> Delivery:
        """Return the stored delivery of a job."""
        stored = self.wiring.jobs.get(job.id)
        assert stored is not None
        return stored.delivery

    def messages(self) -> list[dict[str, Any]]:
        """Receive the visible messages, as records of a Lambda event."""
        response = self.clients.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=0, MessageSystemAttributeNames=["All"]
        )
        return [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
            }
            for message in response.get("Messages", [])
        ]

    def process_all(self) -> list[bool]:
        """Process all visible messages as Lambda does; return for each whether it was deleted."""
        return [self.process(record) for record in self.messages()]

    def process(self, record: dict[str, Any]) -> bool:
        """Call the function with one message, and delete the message unless it failed."""
        handler = webhook_delivery.handler.make_handler(self.wiring)
        failures = handler({"Records": [record]}, cast("LambdaContext", None))["batchItemFailures"]
        if not failures:
            self.clients.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=record["receiptHandle"])
        return not failures

    def make_visible(self, record: dict[str, Any]) -> None:
        """Make a message visible and its next attempt due."""
        self._set(json.loads(record["body"])["jobId"], "deliveryDueAt", SYSTEM_CLOCK.now())
        self.clients.sqs.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=0
        )

    def make_due(self, job: Job) -> None:
        """Make the next attempt due."""
        self._set(job.id, "deliveryDueAt", SYSTEM_CLOCK.now())

    def set_held_since(self, job: Job, since: datetime) -> None:
        """Change the start of the attempt that holds the delivery."""
        self._set(job.id, "deliveryHeldSince", since)

    def _set(self, job_id: str, attribute: str, moment: datetime) -> None:
        self.clients.dynamodb.update_item(
            TableName=self.wiring.settings.table_name,
            Key={"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "JOB"}},
            UpdateExpression=f"SET {attribute} = :moment",
            ExpressionAttributeValues={":moment": {"N": str(timestamps.to_milliseconds(moment))}},
        )

    def message_count(self) -> int:
        """Count the queue's messages, invisible ones included."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        response = self.clients.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return sum(map(int, response["Attributes"].values()))

    def dead_letters(self) -> list[str]:
        """Receive the bodies of all dead letters."""
        response = self.clients.sqs.receive_message(QueueUrl=f"{self.url}-dead", MaxNumberOfMessages=10)
        return [message["Body"] for message in response.get("Messages", [])]
