"""Errors of refused writes that carry the stored job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from gateway.domain.job import Job


class JobNotClaimableError(GatewayError):
    """An attempt holds the job, or it has ended. `job` is the stored job; None when there is none."""

    def __init__(self, job: Job | None) -> None:
        super().__init__("The job cannot be claimed.")
        self.job = job


class DeliveryNotDueError(GatewayError):
    """The delivery is done, in progress or not due yet, or the job has not ended.

    `job` is the stored job; None when there is none.
    """

    def __init__(self, job: Job | None) -> None:
        super().__init__("No delivery attempt is due.")
        self.job = job
