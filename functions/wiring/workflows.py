"""The composition root of the functions that read workflow templates.

Only these validate inputs, so only their archives contain `jsonschema_rs`, which is two thirds of an archive.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from functions.wiring.api import ApiWiring
from gateway.domain.inputs import Limits
from gateway.domain.job import Priority

if TYPE_CHECKING:
    from functions.use_cases.submit_job import JobSubmitter
    from gateway.ports import JobQueue, ResultCache, WorkflowStore


class WorkflowWiring(ApiWiring):
    """See BaseWiring."""

    @cached_property
    def workflows(self) -> WorkflowStore:
        """Workflows."""
        from gateway.aws.dynamodb.workflow_store import DynamoWorkflowStore  # noqa: PLC0415  see BaseWiring

        return DynamoWorkflowStore(self._clients.dynamodb, self.settings.table_name, self.objects, self.audit)

    @cached_property
    def results(self) -> ResultCache | None:
        """Cached results; None when the cache is off."""
        if not self.settings.cache_enabled:
            return None
        from gateway.aws.dynamodb.result_cache import DynamoResultCache  # noqa: PLC0415  see BaseWiring

        return DynamoResultCache(self._clients.dynamodb, self.settings.table_name)

    @cached_property
    def queue(self) -> JobQueue:
        """The job queues."""
        from gateway.aws.sqs.job_queue import SqsJobQueue  # noqa: PLC0415  see BaseWiring

        urls = {
            Priority.HIGH: self.settings.high_queue_url,
            Priority.NORMAL: self.settings.normal_queue_url,
            Priority.LOW: self.settings.low_queue_url,
        }
        return SqsJobQueue(self._clients.sqs, urls)

    @cached_property
    def submitter(self) -> JobSubmitter:
        """Submits jobs."""
        from functions.use_cases.eta import EtaEstimator  # noqa: PLC0415  see BaseWiring
        from functions.use_cases.plan_job import JobPlanner  # noqa: PLC0415  see BaseWiring
        from functions.use_cases.submit_job import JobSubmitter  # noqa: PLC0415  see BaseWiring

        planner = JobPlanner(
            self.workflows,
            self.outputs,
            self.results,
            self.clock,
            self.limits,
            shared=self.settings.cache_scope == "global",
            private=self.settings.privacy_mode,
        )
        return JobSubmitter(
            planner=planner,
            callbacks=self.callback_check,
            estimator=EtaEstimator(self.executors, self.clock),
            jobs=self.jobs,
            queue=self.queue,
            prompts=self.objects,
            bus=self.bus,
            clock=self.clock,
        )

    @property
    def limits(self) -> Limits:
        """Limits on inputs."""
        return Limits(max_image_size=self.settings.max_image_size, max_batch_size=self.settings.max_batch_size)
