"""The way of a webhook, from the end of a job to its receiver, on the queue and the table of one test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from functions.events import webhook_delivery
from functions.webhooks.http_client import WebhookSender
from functions.wiring.events import EventWiring
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
    """The function's end in the middle of its work."""


class Courier:
    """The bus, the queue and the function that delivers. Nothing runs by itself: a test takes each step."""

    def __init__(self, environment: dict[str, str], clients: Clients, **settings: str) -> None:
        self.clients = clients
        self.url = environment["WEBHOOK_QUEUE_URL"]
        self.background = EventWiring(BackgroundSettings.from_environment({**environment, **SETTINGS, **settings}))
        self.background._clients = clients  # making them takes longer than most tests
        self.background.sender = WebhookSender(self.background.callback_policy, self.background.resolver, seconds=0.5)

    def end(self, callback_url: str | None, end: JobEnd | None = None, **fields: Any) -> Job:  # noqa: ANN401  a job's
        """Let a job end, without announcing it."""
        now = timestamps.now()
        job = self.background.jobs.create(new_job(callback_url=callback_url, created_at=now, **fields))
        job = self.background.jobs.claim(job.id, executor_id="e", now=now, lease_until=now)
        return self.background.jobs.finish(
            job, end or JobEnd(status=JobStatus.SUCCEEDED, completed_at=now, execution_ms=5, outputs=(OUTPUT,))
        )

    def announce(self, job: Job) -> None:
        """Announce the end of a job, as whoever ended it does."""
        self.background.bus.publish(JobEndedEvent.of(job))

    def delivery(self, job: Job) -> Delivery:
        """Read how the delivery stands."""
        stored = self.background.jobs.get(job.id)
        assert stored is not None
        return stored.delivery

    def messages(self) -> list[dict[str, Any]]:
        """Take what is visible in the queue, as the records that Lambda makes of it."""
        answer = self.clients.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=0, MessageSystemAttributeNames=["All"]
        )
        return [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
            }
            for message in answer.get("Messages", [])
        ]

    def pump(self) -> list[bool]:
        """Do what Lambda does with all that is visible now; tell of each message whether it is done with."""
        return [self.deal_with(record) for record in self.messages()]

    def deal_with(self, record: dict[str, Any]) -> bool:
        """Start the function with one message, and delete it if it is done with."""
        handler = webhook_delivery.handler.make_handler(self.background)
        failures = handler({"Records": [record]}, cast("LambdaContext", None))["batchItemFailures"]
        if not failures:
            self.clients.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=record["receiptHandle"])
        return not failures

    def let_time_pass(self, record: dict[str, Any]) -> None:
        """Bring a message back that was hidden for later: the next attempt is due."""
        self._set(json.loads(record["body"])["jobId"], "deliveryDueAt", timestamps.now())
        self.clients.sqs.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=0
        )

    def make_due(self, job: Job) -> None:
        """Let the time of the next attempt have come."""
        self._set(job.id, "deliveryDueAt", timestamps.now())

    def let_go(self, job: Job, since: datetime) -> None:
        """Let the attempt that holds a delivery have begun at this instant."""
        self._set(job.id, "deliveryHeldSince", since)

    def _set(self, job_id: str, attribute: str, moment: datetime) -> None:
        self.clients.dynamodb.update_item(
            TableName=self.background.settings.table_name,
            Key={"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "JOB"}},
            UpdateExpression=f"SET {attribute} = :moment",
            ExpressionAttributeValues={":moment": {"N": str(timestamps.to_milliseconds(moment))}},
        )

    def left(self) -> int:
        """Count the queue's messages, hidden ones included."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.clients.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return sum(map(int, answer["Attributes"].values()))

    def dead(self) -> list[str]:
        """Take the bodies of all dead letters."""
        answer = self.clients.sqs.receive_message(QueueUrl=f"{self.url}-dead", MaxNumberOfMessages=10)
        return [message["Body"] for message in answer.get("Messages", [])]
