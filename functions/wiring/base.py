"""The ports on AWS that functions of every kind use, each made once and only when one does."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from gateway.aws.clients import Clients

if TYPE_CHECKING:
    from gateway.ports import EventBus, ExecutorStore, JobCountStore, JobList, JobStore, ObjectStore
    from gateway.settings import FunctionSettings


class BaseWiring:
    """The AWS modules are imported where they are needed: cold starts pay for each."""

    settings: FunctionSettings

    def __init__(self, settings: FunctionSettings) -> None:
        self.settings = settings
        self._clients = Clients(settings)

    @cached_property
    def jobs(self) -> JobStore:
        """Jobs."""
        from gateway.aws.dynamodb.job_store import DynamoJobStore  # noqa: PLC0415  see the class

        return DynamoJobStore(self._clients.dynamodb, self.settings.table_name, self.settings.retention_days)

    @cached_property
    def job_list(self) -> JobList:
        """Lists of jobs."""
        from gateway.aws.dynamodb.job_list import DynamoJobList  # noqa: PLC0415  see the class

        return DynamoJobList(self._clients.dynamodb, self.settings.table_name)

    @cached_property
    def job_counts(self) -> JobCountStore:
        """Counts of jobs."""
        from gateway.aws.dynamodb.job_count_store import DynamoJobCountStore  # noqa: PLC0415  see the class

        return DynamoJobCountStore(self._clients.dynamodb, self.settings.table_name, self.settings.retention_days)

    @cached_property
    def executors(self) -> ExecutorStore:
        """Executors' reports."""
        from gateway.aws.dynamodb.executor_store import DynamoExecutorStore  # noqa: PLC0415  see the class

        return DynamoExecutorStore(self._clients.dynamodb, self.settings.table_name)

    @cached_property
    def bus(self) -> EventBus:
        """Where ends of jobs are announced."""
        from gateway.aws.eventbridge import EventBridgeBus  # noqa: PLC0415  see the class

        return EventBridgeBus(self._clients.events, self.settings.event_bus_name)

    @cached_property
    def objects(self) -> ObjectStore:
        """Templates and large prompts, and outputs that have no bucket of their own."""
        from gateway.aws.s3 import S3ObjectStore  # noqa: PLC0415  see the class

        return S3ObjectStore(self._clients.s3, self.settings.bucket_name)

    @cached_property
    def outputs(self) -> ObjectStore:
        """Outputs."""
        if self.settings.s3_bucket is None:
            return self.objects
        from gateway.aws.s3 import S3ObjectStore  # noqa: PLC0415  see the class

        return S3ObjectStore(self._clients.output_s3, self.settings.s3_bucket)
