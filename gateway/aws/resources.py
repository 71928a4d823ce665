"""Which tables, keys, queues, buckets and buses exist: the one place that says so.

Local mode creates them in the embedded AWS from here, and so does the deployment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gateway.domain.delivery import FUNCTION_SECONDS, MAX_DELIVERY_ATTEMPTS
from gateway.domain.job import JobStatus, Priority

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexResource:
    """A global secondary index of a table; keys are strings."""

    name: str
    partition_key: str
    sort_key: str
    projected: tuple[str, ...]  # attributes beside the keys


@dataclass(frozen=True, slots=True, kw_only=True)
class TableResource:
    """A DynamoDB table, billed per request. Its stream tells every write; `stream_view`: how much of each."""

    name: str
    partition_key: str  # a string
    sort_key: str  # a string
    ttl_attribute: str  # epoch seconds
    indexes: tuple[IndexResource, ...]
    stream_view: Literal["NEW_AND_OLD_IMAGES"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueResource:
    """An SQS standard queue and its dead-letter queue."""

    name: str
    visibility_seconds: int
    retention_seconds: int
    max_receives: int  # then the message moves to the dead-letter queue, 1 to 1000
    dead_letter_visibility_seconds: int

    @property
    def dead_letter_name(self) -> str:
        """The queue that takes what was received too often; it keeps messages as long as this one."""
        return f"{self.name}-dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionResource:
    """A Lambda function that no request calls: a queue does, the clock, or the table's stream."""

    name: str  # of its module in functions/
    timeout_seconds: int
    # How many batches of its queues it deals with at once, at most. Its handler can then be called by several threads
    # at a time, as local mode does. None: in AWS as many as there are, in local mode one.
    max_concurrency: int | None = None

    @property
    def queue_visibility_seconds(self) -> int:
        """How long a queue that starts this function has to hide messages, at least.

        https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html: six times the function's time-out.
        """
        return 6 * self.timeout_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSourceResource:
    """A queue that starts a function with batches of messages; those that it reports as failed come back."""

    queue_name: str
    function: FunctionResource
    batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleResource:
    """A rule that starts a function at a fixed rate."""

    function: FunctionResource
    every_minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResource:
    """A rule on the event bus that puts a part of each event that it matches into a queue.

    `group_path`: of what becomes the message group. On a standard queue that is what SQS's fair queues go by: messages
    of a group that has many in readers' hands come after those of others.
    """

    name: str
    pattern: Mapping[str, Any]
    input_path: str  # of the part
    group_path: str
    queue: QueueResource


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSourceResource:
    """The table's stream, where it starts a function with batches of records that fit one of the patterns.

    It is read from the oldest record on. A batch that fails comes again until it succeeds, and always as it was: it
    must not be split, since the function knows by its records that it has seen it before.
    """

    function: FunctionResource
    batch_size: int
    window_seconds: int  # how long a record waits for others to come in the same batch
    patterns: tuple[Mapping[str, Any], ...]  # what fits none costs nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsResource:
    """Which web pages may read a bucket's objects, how, and which headers of the answer they see."""

    origins: tuple[str, ...]
    methods: tuple[Literal["GET", "HEAD"], ...]
    headers: tuple[str, ...]
    exposed_headers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketResource:
    """An S3 bucket, not versioned.

    Objects under `expiring_prefixes` are removed after the retention time, those that bear `expiring_tag` a day
    later. S3 counts from an object's last write and not from its tagging, so whoever tags an object copies it onto
    itself in the same call, which is a write (S3ObjectStore.expire).
    """

    name: str
    expiring_prefixes: tuple[str, ...]
    expiring_tag: tuple[str, str]  # name and value
    cors: CorsResource


_DAY_SECONDS = 24 * 60 * 60

# Audit entries outlive jobs: who changed a workflow is asked when its pictures have long gone, and whoever audits
# looks back over a year. They are small, few, and hold hashes only, so keeping them costs and tells next to nothing.
AUDIT_RETENTION_DAYS = 400

# A partition takes 1,000 writes a second, and the list of everybody's jobs is written to by every submission.
LIST_SHARDS = 4

# Both lists hold nothing that ever changes: a job is written to each once, and its transitions cost no more there.
JOBS_BY_OWNER = IndexResource(
    name="jobs-by-owner", partition_key="jobOwner", sort_key="jobOrder", projected=("workflowId",)
)
JOBS_OF_ALL = IndexResource(
    name="jobs-of-all", partition_key="jobShard", sort_key="jobOrder", projected=("workflowId",)
)

TABLE = TableResource(
    name="gateway",
    partition_key="pk",
    sort_key="sk",
    ttl_attribute="expiresAt",
    indexes=(JOBS_BY_OWNER, JOBS_OF_ALL),
    stream_view="NEW_AND_OLD_IMAGES",
)

JOB_PARTITION_PREFIX = "JOB#"  # and the job's id
JOB_SORT_KEY = "JOB"
_JOB_KEY = {"pk": {"S": [{"prefix": JOB_PARTITION_PREFIX}]}, "sk": {"S": [JOB_SORT_KEY]}}


def _job_written(how: str, *, before: tuple[JobStatus, ...] = (), after: tuple[JobStatus, ...] = ()) -> dict[str, Any]:
    # https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
    images = {"OldImage": before, "NewImage": after}
    statuses = {image: {"status": {"S": list(which)}} for image, which in images.items() if which}
    return {"eventName": [how], "dynamodb": {"Keys": _JOB_KEY, **statuses}}


_ENDS = tuple(status for status in JobStatus if status.ended)
# Renewals of leases, which are most of the writes to jobs, fit none of the patterns, nor does what comes after the end.
JOB_CHANGES = StreamSourceResource(
    function=FunctionResource(name="job_metrics", timeout_seconds=30),
    batch_size=100,  # a line of metrics has room for a hundred values of each
    # Metrics, and what GET /stats says, may be as old. Batches are what costs here: so a job alone is one or two.
    window_seconds=30,
    patterns=(
        _job_written("INSERT"),
        _job_written("MODIFY", before=(JobStatus.QUEUED,), after=(JobStatus.RUNNING, *_ENDS)),
        _job_written("MODIFY", before=(JobStatus.RUNNING,), after=_ENDS),
        _job_written("REMOVE", before=(JobStatus.QUEUED, JobStatus.RUNNING)),
    ),
)

# API Gateway waits no longer for a function that answers a request.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
REQUEST_SECONDS = 29

DEAD_LETTERS = FunctionResource(name="dead_letters", timeout_seconds=30)
# Enough for many receivers that hang at a time. Without a bound, they could use up all that an AWS account has. Should
# one owner's take all of it, the message group sees to it that the next place is another's.
WEBHOOK_DELIVERY = FunctionResource(name="webhook_delivery", timeout_seconds=FUNCTION_SECONDS, max_concurrency=200)

# For receivers that do not say how long they need; executors say, by their LEASE_SECONDS.
VISIBILITY_SECONDS = 30

JOB_QUEUES = {
    priority: QueueResource(
        name=f"jobs-{priority}",
        visibility_seconds=VISIBILITY_SECONDS,
        retention_seconds=14 * _DAY_SECONDS,
        # The most that SQS takes. What bounds how often a job runs is the attempt number on its record, and being
        # received says little: every look at a job that somebody else holds is one, and so is every try while
        # DynamoDB or ComfyUI is out of reach. A job that would run must not become a dead letter by that.
        max_receives=1000,
        dead_letter_visibility_seconds=DEAD_LETTERS.queue_visibility_seconds,
    )
    for priority in Priority
}

WEBHOOK_QUEUE = QueueResource(
    name="webhooks",
    visibility_seconds=WEBHOOK_DELIVERY.queue_visibility_seconds,
    retention_seconds=14 * _DAY_SECONDS,
    max_receives=MAX_DELIVERY_ATTEMPTS,
    dead_letter_visibility_seconds=30,  # no function reads it: an operator's command does
)

QUEUE_SOURCES = (
    *(
        QueueSourceResource(queue_name=queue.dead_letter_name, function=DEAD_LETTERS, batch_size=10)
        for queue in JOB_QUEUES.values()
    ),
    # One at a time, so that a receiver that hangs holds up no other's webhook.
    QueueSourceResource(queue_name=WEBHOOK_QUEUE.name, function=WEBHOOK_DELIVERY, batch_size=1),
)

# The rules of gateway.domain.lost_jobs hold for looks that are this far apart.
SWEEPER = FunctionResource(name="sweeper", timeout_seconds=60)
# What it writes is to be shown by the minute.
EXECUTOR_METRICS = FunctionResource(name="executor_metrics", timeout_seconds=30)
SCHEDULES = (
    ScheduleResource(function=SWEEPER, every_minutes=5),
    ScheduleResource(function=EXECUTOR_METRICS, every_minutes=1),
)

OUTPUT_PREFIX = "outputs/"
PROMPT_PREFIX = "prompts/"
# A template bears the tag from when its workflow was given another one, or deleted. Jobs that were accepted until that
# moment may need it as long as they are kept; the day more is for those that were just being accepted.
TEMPLATE_PREFIX = "workflows/"
BUCKET = BucketResource(
    name="files",
    expiring_prefixes=(OUTPUT_PREFIX, PROMPT_PREFIX),
    expiring_tag=("retired", "true"),
    # Who has a presigned URL may read, from wherever. A page that was redirected here comes from the origin "null" by
    # then, and its preflight names the headers that it sent to the API.
    cors=CorsResource(
        origins=("*",), methods=("GET", "HEAD"), headers=("*",), exposed_headers=("ETag", "Content-Disposition")
    ),
)

EVENT_BUS_NAME = "events"
EVENT_SOURCE = "comfyui-gateway"
JOB_ENDED_DETAIL_TYPE = "Job ended"

WEBHOOK_RULE = RuleResource(
    name="webhooks",
    # Jobs without a callback cost neither a message nor a call of the function.
    pattern={"source": [EVENT_SOURCE], "detail-type": [JOB_ENDED_DETAIL_TYPE], "detail": {"callback": [True]}},
    input_path="$.detail",  # a webhook that is sent again is the same message, put there without the bus
    group_path="$.detail.ownerHash",
    queue=WEBHOOK_QUEUE,
)
