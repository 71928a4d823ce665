"""The only definition of the tables, indexes, queues, buckets, rules and background functions.

Local mode and the deployment both create them from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gateway.domain.delivery import FUNCTION_SECONDS, MAX_DELIVERY_ATTEMPTS
from gateway.domain.job import JobStatus, Priority
from gateway.domain.object_keys import OUTPUT_PREFIX, PROMPT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexResource:
    """A global secondary index of a table; keys are strings."""

    name: str
    partition_key: str
    sort_key: str
    projected: tuple[str, ...]  # attributes besides the keys


@dataclass(frozen=True, slots=True, kw_only=True)
class TableResource:
    """A DynamoDB table, billed per request, with a stream. `stream_view`: what the stream has of each write."""

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
        """Name of the dead-letter queue. It has the same retention period."""
        return f"{self.name}-dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionResource:
    """A background function: a Lambda function that a queue, a schedule or the table's stream invokes."""

    name: str  # of its module in functions/events
    timeout_seconds: int
    # Maximum number of batches that it processes at once. Its handler must be thread-safe, because local mode calls it
    # from several threads. None: no limit on AWS, one in local mode.
    max_concurrency: int | None = None

    @property
    def queue_visibility_seconds(self) -> int:
        """The minimum visibility timeout of a queue that invokes this function.

        https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html: six times the function's timeout.
        """
        return 6 * self.timeout_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSourceResource:
    """A queue that invokes a function with batches of messages. Messages reported as failed are received again."""

    queue_name: str
    function: FunctionResource
    batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleResource:
    """A rule that invokes a function at a fixed rate."""

    function: FunctionResource
    every_minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResource:
    """A rule on the event bus that sends a part of each matching event to a queue.

    `group_path`: JSON path of the message group id. SQS fair queues use it on a standard queue: messages of a group
    with many messages in flight are received after those of other groups.
    """

    name: str
    pattern: Mapping[str, Any]
    input_path: str  # JSON path of the part
    group_path: str
    queue: QueueResource


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSourceResource:
    """The table's stream, which invokes a function with batches of the records that match one of the patterns.

    It is read from the oldest record on. A failed batch is retried until it succeeds, and never split: the function
    detects a repeated batch by its records.
    """

    function: FunctionResource
    batch_size: int
    window_seconds: int  # maximum time that a record waits for its batch to fill
    patterns: tuple[Mapping[str, Any], ...]  # other records cause no invocation


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsResource:
    """The CORS rule of a bucket: which origins can read objects, and which response headers they see."""

    origins: tuple[str, ...]
    methods: tuple[Literal["GET", "HEAD"], ...]
    headers: tuple[str, ...]
    exposed_headers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketResource:
    """An S3 bucket, not versioned.

    Objects under `expiring_prefixes` are deleted after the retention time, objects with `expiring_tag` a day later.
    S3 counts from the last write of an object, not from its tagging. To tag an object, copy it onto itself in the same
    call, which is a write (S3ObjectStore.expire).
    """

    name: str
    expiring_prefixes: tuple[str, ...]
    expiring_tag: tuple[str, str]  # name and value
    cors: CorsResource


_DAY_SECONDS = 24 * 60 * 60

# Audit entries are stored longer than jobs: audits cover a year, and ask who changed a workflow after its outputs have
# expired. Entries are few and small, and have only hashes, so that they cost and reveal almost nothing.
AUDIT_RETENTION_DAYS = 400

# A partition accepts 1,000 writes per second, and every submission writes to the list of all jobs.
LIST_SHARDS = 4

# The indexes have only attributes that never change: a job is written to each once, and updates of it cost no more.
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

JOB_PARTITION_PREFIX = "JOB#"  # followed by the job id
JOB_SORT_KEY = "JOB"
_JOB_KEY = {"pk": {"S": [{"prefix": JOB_PARTITION_PREFIX}]}, "sk": {"S": [JOB_SORT_KEY]}}


def _job_pattern(
    event_name: str, *, before: tuple[JobStatus, ...] = (), after: tuple[JobStatus, ...] = ()
) -> dict[str, Any]:
    # https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
    images = {"OldImage": before, "NewImage": after}
    by_image = {image: {"status": {"S": list(statuses)}} for image, statuses in images.items() if statuses}
    return {"eventName": [event_name], "dynamodb": {"Keys": _JOB_KEY, **by_image}}


_TERMINAL = tuple(status for status in JobStatus if status.ended)
# Lease renewals, which are most writes to jobs, match no pattern, and neither do writes to ended jobs.
JOB_CHANGES = StreamSourceResource(
    function=FunctionResource(name="job_metrics", timeout_seconds=30),
    batch_size=100,  # a line of metrics has up to 100 values of each metric
    # Metrics and GET /stats can be this old. Invocations are what costs: a single job causes one or two.
    window_seconds=30,
    patterns=(
        _job_pattern("INSERT"),
        _job_pattern("MODIFY", before=(JobStatus.QUEUED,), after=(JobStatus.RUNNING, *_TERMINAL)),
        _job_pattern("MODIFY", before=(JobStatus.RUNNING,), after=_TERMINAL),
        _job_pattern("REMOVE", before=(JobStatus.QUEUED, JobStatus.RUNNING)),
    ),
)

# The integration timeout of API Gateway.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
REQUEST_SECONDS = 29

DEAD_LETTERS = FunctionResource(name="dead_letters", timeout_seconds=30)
# Enough for many receivers that hang at the same time. Without a limit, they could use up the concurrency of the AWS
# account. If the webhooks of one owner use all of it, message groups give the next free slot to another owner.
WEBHOOK_DELIVERY = FunctionResource(name="webhook_delivery", timeout_seconds=FUNCTION_SECONDS, max_concurrency=200)

# The default of the queue. Executors set their own visibility timeout from LEASE_SECONDS.
VISIBILITY_SECONDS = 30

JOB_QUEUES = {
    priority: QueueResource(
        name=f"jobs-{priority}",
        visibility_seconds=VISIBILITY_SECONDS,
        retention_seconds=14 * _DAY_SECONDS,
        # The maximum of SQS. The attempt number of the job record limits how often a job runs. The receive count does
        # not: it also increases when another executor holds the job, or while DynamoDB or ComfyUI is unreachable. A
        # job that could still run must not become a dead letter because of that.
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
    dead_letter_visibility_seconds=30,  # no function receives from it, only an operator's command
)

QUEUE_SOURCES = (
    *(
        QueueSourceResource(queue_name=queue.dead_letter_name, function=DEAD_LETTERS, batch_size=10)
        for queue in JOB_QUEUES.values()
    ),
    # One at a time, so that a receiver that hangs does not delay other webhooks.
    QueueSourceResource(queue_name=WEBHOOK_QUEUE.name, function=WEBHOOK_DELIVERY, batch_size=1),
)

# The rules of gateway.domain.lost_jobs depend on this interval.
SWEEPER = FunctionResource(name="sweeper", timeout_seconds=60)
# Its metrics have a resolution of one minute.
EXECUTOR_METRICS = FunctionResource(name="executor_metrics", timeout_seconds=30)
SCHEDULES = (
    ScheduleResource(function=SWEEPER, every_minutes=5),
    ScheduleResource(function=EXECUTOR_METRICS, every_minutes=1),
)

# A template gets the tag when its workflow is updated or deleted. Jobs accepted before need it while they are stored;
# the additional day is for jobs that were being accepted at that moment.
BUCKET = BucketResource(
    name="files",
    expiring_prefixes=(OUTPUT_PREFIX, PROMPT_PREFIX),
    expiring_tag=("retired", "true"),
    # A presigned URL can be read from any origin. After a redirect from the API the origin is "null", and the preflight
    # names the headers that the page sent to the API.
    cors=CorsResource(
        origins=("*",), methods=("GET", "HEAD"), headers=("*",), exposed_headers=("ETag", "Content-Disposition")
    ),
)

EVENT_BUS_NAME = "events"
EVENT_SOURCE = "comfyui-gateway"
JOB_ENDED_DETAIL_TYPE = "Job ended"

WEBHOOK_RULE = RuleResource(
    name="webhooks",
    # Jobs without a callback cause neither a message nor an invocation.
    pattern={"source": [EVENT_SOURCE], "detail-type": [JOB_ENDED_DETAIL_TYPE], "detail": {"callback": [True]}},
    input_path="$.detail",  # a redelivery sends the same message directly to the queue
    group_path="$.detail.ownerHash",
    queue=WEBHOOK_QUEUE,
)
