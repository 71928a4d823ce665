"""Observe all writes to jobs and all events, and check the invariants of the system.

- An accepted job ends exactly once and never changes afterwards; its one event id is published.
- Its outputs are those of one attempt, and the store has them as the job says.
- An attempt starts only while no other one holds a lease; leases are written in AWS time.
- Nothing remains: no message in a queue or dead-letter queue, no prompt on a ComfyUI.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import boto3
import requests

from gateway.aws.dynamodb import job_item
from gateway.aws.resources import EVENT_SOURCE, JOB_ENDED_DETAIL_TYPE
from gateway.domain.job import Job, JobStatus, Priority, ended_event_id
from testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testing.executor_harness import AwsExecutorHarness

# Maximum error of a lease from an executor with a wrong clock; the stream has whole seconds only.
_CLOCK_SECONDS = 2.5
_MAX_CLAIM_SECONDS = 20  # with all its retries
_ENDED = {status for status in JobStatus if status.ended}


class InvariantObserver:
    """Observes the table and the bus of a harness from its creation on."""

    def __init__(self, harness: AwsExecutorHarness) -> None:
        self._harness = harness
        table, bus = harness.environment["TABLE_NAME"], harness.environment["EVENT_BUS_NAME"]
        self._stream_arn = harness.clients.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
        self._streams: Any = boto3.client("dynamodbstreams")
        sqs, events = harness.clients.sqs, harness.clients.events
        self._events_url = sqs.create_queue(QueueName=f"{bus}-observed")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self._events_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = {"source": [EVENT_SOURCE], "detail-type": [JOB_ENDED_DETAIL_TYPE]}
        events.put_rule(Name=f"{bus}-observed", EventBusName=bus, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=f"{bus}-observed", EventBusName=bus, Targets=[{"Id": "observed", "Arn": arn}])

    def check(self, *job_ids: str, lease_seconds: int, comfyui_urls: Sequence[str]) -> None:
        """Wait until nothing remains, then check the invariants of these jobs."""
        wait_until(lambda: self._harness.message_count() == 0, "empty queues")
        wait_until(lambda: self._dead_letters() == 0, "empty dead-letter queues")
        for url in comfyui_urls:
            wait_until(lambda url=url: _is_idle(url), "an idle ComfyUI")  # type: ignore[misc]  # binds now
        histories, events = self._histories(), self._events()
        for job_id in job_ids:
            job = self._harness.job(job_id)
            _check_history(histories[job_id], lease_seconds)
            assert {event["eventId"] for event in events[job_id]} == {ended_event_id(job_id)}
            assert {event["status"] for event in events[job_id]} == {job.status}
            self._check_outputs(job)

    def _check_outputs(self, job: Job) -> None:
        outputs = job.outputs or ()
        assert bool(outputs) == (job.status is JobStatus.SUCCEEDED)
        for output in outputs:
            assert output.key == f"outputs/{job.id}/{job.attempt}/{output.filename}"
            content = self._harness.objects.get(output.key)
            assert (len(content), hashlib.sha256(content).hexdigest()) == (output.size, output.sha256)
        assert len({output.filename for output in outputs}) == len(outputs)

    def _histories(self) -> dict[str, list[tuple[float, dict[str, Any]]]]:
        """Read every version of each job's item, with the second in which it was written."""
        histories: dict[str, list[tuple[float, dict[str, Any]]]] = defaultdict(list)
        for shard in self._streams.describe_stream(StreamArn=self._stream_arn)["StreamDescription"]["Shards"]:
            iterator = self._streams.get_shard_iterator(
                StreamArn=self._stream_arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while iterator and (page := self._streams.get_records(ShardIterator=iterator))["Records"]:
                for record in (record["dynamodb"] for record in page["Records"]):
                    if job_item.is_key(record["Keys"]):
                        written_at = record["ApproximateCreationDateTime"].timestamp()
                        versions = histories[job_item.read(record["NewImage"]).id]
                        if not versions or not _is_delivery(versions[-1][1], record["NewImage"]):
                            versions.append((written_at, record["NewImage"]))
                iterator = page.get("NextShardIterator")
        return histories

    def _events(self) -> dict[str, list[dict[str, Any]]]:
        events: dict[str, list[dict[str, Any]]] = defaultdict(list)
        sqs = self._harness.clients.sqs
        while messages := sqs.receive_message(QueueUrl=self._events_url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                detail = json.loads(message["Body"])["detail"]
                events[detail["jobId"]].append(detail)
        return events

    def _dead_letters(self) -> int:
        count = 0
        for priority in Priority:
            attributes = self._harness.clients.sqs.get_queue_attributes(
                QueueUrl=self._harness.environment[f"{priority.upper()}_DEAD_LETTER_QUEUE_URL"],
                AttributeNames=["ApproximateNumberOfMessages"],
            )["Attributes"]
            count += int(attributes["ApproximateNumberOfMessages"])
        return count


def _check_history(versions: list[tuple[float, dict[str, Any]]], lease_seconds: int) -> None:
    statuses = [JobStatus(image["status"]["S"]) for _, image in versions]
    assert statuses == sorted(statuses, key=[JobStatus.QUEUED, JobStatus.RUNNING, *_ENDED].index)
    assert [status for status in statuses if status.ended] == statuses[-1:]
    for (_, before), (at, after) in itertools.pairwise(versions):
        step = _attempt(after) - _attempt(before)
        assert step in (0, 1)
        if step == 1:
            claimed_at = _lease_end(after) - lease_seconds
            assert -_CLOCK_SECONDS < at - claimed_at < _CLOCK_SECONDS + _MAX_CLAIM_SECONDS, (
                "the lease is not in AWS's time"
            )
            assert _lease_end(before) <= claimed_at, "a live lease was taken over"


def _is_delivery(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Return whether only the webhook delivery has changed, which happens after the job has ended."""
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return bool(changed) and all(name.startswith("delivery") for name in changed)


def _attempt(image: dict[str, Any]) -> int:
    return int(image["attempt"]["N"])


def _lease_end(image: dict[str, Any]) -> float:
    """Return the expiry of the lease in seconds since 1970; 0 without one."""
    return int(image.get("leaseExpiresAt", {"N": "0"})["N"]) / 1000


def _is_idle(comfyui_url: str) -> bool:
    state: dict[str, list[object]] = requests.get(f"{comfyui_url}/queue", timeout=5).json()
    return state == {"queue_running": [], "queue_pending": []}
