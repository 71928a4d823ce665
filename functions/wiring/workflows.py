"""What the functions that look into workflows have beside what all have.

Only these check inputs, and so only their archives have `jsonschema_rs`, which is two thirds of them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from functions.wiring.api import ApiWiring
from gateway.domain.inputs import Limits
from gateway.domain.job import Priority

if TYPE_CHECKING:
    from functions.use_cases.plan_job import Preparation
    from gateway.ports import JobQueue, ResultCache, WorkflowStore


class WorkflowWiring(ApiWiring):
    """See ApiWiring."""

    @cached_property
    def results(self) -> ResultCache | None:
        """Results that can be used again; None when they are not to be."""
        if not self.settings.cache_enabled:
            return None
        from gateway.aws.dynamodb.result_cache import DynamoResultCache  # noqa: PLC0415  see the class

        return DynamoResultCache(self._clients.dynamodb, self.settings.table_name)

    @cached_property
    def preparation(self) -> Preparation:
        """What makes a job of a request."""
        from functions.use_cases.plan_job import Preparation  # noqa: PLC0415  see the class

        return Preparation(
            self.workflows,
            self.outputs,
            self.limits,
            self.results,
            shared=self.settings.cache_scope == "global",
            private=self.settings.privacy_mode,
        )

    @cached_property
    def workflows(self) -> WorkflowStore:
        """Workflows."""
        from gateway.aws.dynamodb.workflow_store import DynamoWorkflowStore  # noqa: PLC0415  see the class

        return DynamoWorkflowStore(self._clients.dynamodb, self.settings.table_name, self.objects, self.audit)

    @cached_property
    def queue(self) -> JobQueue:
        """The job queues."""
        from gateway.aws.sqs.job_queue import SqsJobQueue  # noqa: PLC0415  see the class

        urls = {
            Priority.HIGH: self.settings.high_queue_url,
            Priority.NORMAL: self.settings.normal_queue_url,
            Priority.LOW: self.settings.low_queue_url,
        }
        return SqsJobQueue(self._clients.sqs, urls)

    @property
    def limits(self) -> Limits:
        """Bounds on inputs."""
        return Limits(max_image_size=self.settings.max_image_size, max_batch_size=self.settings.max_batch_size)
