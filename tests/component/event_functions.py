"""The functions that queues, streams and schedules invoke, on the AWS resources of one test."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, cast

from functions.wiring.events import EventWiring
from gateway.aws.resources import EVENT_SOURCE, JOB_ENDED_DETAIL_TYPE
from gateway.aws.sqs.job_queue import SqsJobQueue
from gateway.domain.job import Job, Priority
from gateway.domain.messages import JobEndedEvent, JobMessage
from gateway.settings import BackgroundSettings
from tests.component.samples import new_job

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.wiring.entry import Handler
    from gateway.aws.clients import Clients
    from gateway.ports import Clock

PROMPT = {"1": {"class_type": "A", "inputs": {"text": "a-private-prompt"}}}
NO_CONTEXT = cast("LambdaContext", None)  # these functions do not use it


class EventFunctions:
    """The ports of these functions, and the events published since creation."""

    def __init__(self, environment: dict[str, str], clients: Clients) -> None:
        self.environment = environment
        self.clients = clients
        self.wiring = EventWiring(BackgroundSettings.from_environment(environment))
        self.wiring._clients = clients  # creating clients takes longer than most tests
        self.jobs = self.wiring.jobs
        urls = {priority: environment[f"{priority.upper()}_QUEUE_URL"] for priority in Priority}
        self.queue = SqsJobQueue(clients.sqs, urls)
        self._events_url = self._subscribe()

    @property
    def clock(self) -> Clock:
        """The clock of these functions."""
        return self.wiring.clock

    def record(self, **fields: Any) -> Job:  # noqa: ANN401  the fields of a job
        """Store the record of a new job, without a message."""
        return self.jobs.create(new_job(**{"created_at": self.clock.now(), **fields}))

    def send(self, job: Job) -> None:
        """Send a job's message."""
        message = JobMessage(job_id=job.id, priority=job.priority, correlation_id=job.correlation_id, prompt=PROMPT)
        self.queue.send(message, group=job.owner)

    def job(self, job_id: str) -> Job:
        """Return a job, which must exist."""
        job = self.jobs.get(job_id)
        assert job is not None
        return job

    def published(self) -> list[JobEndedEvent]:
        """Return all events published since the last call. The emulator delivers within the call that publishes."""
        events = []
        while messages := self.clients.sqs.receive_message(
            QueueUrl=self._events_url, MaxNumberOfMessages=10, WaitTimeSeconds=0
        ).get("Messages"):
            for message in messages:
                self.clients.sqs.delete_message(QueueUrl=self._events_url, ReceiptHandle=message["ReceiptHandle"])
                events.append(JobEndedEvent.model_validate(json.loads(message["Body"])["detail"]))
        return events

    def _subscribe(self) -> str:
        bus = self.environment["EVENT_BUS_NAME"]
        url = self.clients.sqs.create_queue(QueueName=f"{bus}-published")["QueueUrl"]
        attributes: Any = self.clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        pattern = {"source": [EVENT_SOURCE], "detail-type": [JOB_ENDED_DETAIL_TYPE]}
        self.clients.events.put_rule(Name=f"{bus}-ends", EventBusName=bus, EventPattern=json.dumps(pattern))
        targets: Any = [{"Id": "published", "Arn": attributes["QueueArn"]}]
        self.clients.events.put_targets(Rule=f"{bus}-ends", EventBusName=bus, Targets=targets)
        return url


def body_of(job: Job) -> str:
    """Return the body of a job's message."""
    message = JobMessage(job_id=job.id, priority=job.priority, correlation_id=job.correlation_id, prompt=PROMPT)
    return message.model_dump_json(by_alias=True, exclude_none=True)


def failed(handler: Handler, *bodies: str) -> list[int]:
    """Invoke a handler with one batch; return the indexes of the messages it reported as failed."""
    records = [_record(body) for body in bodies]
    ids = [record["messageId"] for record in records]
    response = handler({"Records": records}, NO_CONTEXT)
    return [ids.index(item["itemIdentifier"]) for item in response["batchItemFailures"]]


def _record(body: str) -> dict[str, Any]:
    return {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "r",
        "body": body,
        "attributes": {"SentTimestamp": "1769860800000", "SenderId": "AIDA"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:jobs-normal-dead",
        "awsRegion": "us-east-1",
    }
