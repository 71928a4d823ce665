"""A queue that delivers as SQS does where messages have groups, which the embedded AWS does not.

By the rule of https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues-detailed.html:
a group is noisy when it took more than a tenth of the consumers' time of late; others' messages go before those of
noisy groups, and among noisy ones the group with the fewest messages in flight is next.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from gateway.aws.sqs.job_queue import SqsJobQueue
from gateway.domain.job import Priority

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.ports import ReceivedJob

_NOISY_SHARE = 0.1


class FairSqsJobQueue(SqsJobQueue):
    """Takes whatever there is and hands it out in that order; for one executor.

    `group_of`: the group of a job's message.
    """

    group_of: Callable[[str], str] = staticmethod(lambda job_id: job_id)

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  as its parent takes them
        super().__init__(*arguments, **options)
        self._lock = threading.Lock()
        self._waiting: dict[Priority, list[ReceivedJob]] = {priority: [] for priority in Priority}
        self._taken_at: dict[str, tuple[str, float]] = {}  # by receipt: the group, and since when
        self._seconds: dict[str, float] = {}

    def receive(self, priority: Priority, *, wait_seconds: int) -> ReceivedJob | None:
        """Take the message that is next by the rule."""
        waiting = self._waiting[priority]
        received = super().receive(priority, wait_seconds=0 if waiting else wait_seconds)
        with self._lock:
            while received is not None:
                waiting.append(received)
                received = super().receive(priority, wait_seconds=0)
            if not waiting:
                return None
            received = min(waiting, key=self._rank)  # the oldest of equal ones
            waiting.remove(received)
            self._taken_at[received.receipt_handle] = (self.group_of(received.message.job_id), time.monotonic())
            return received

    def delete(self, received: ReceivedJob) -> None:
        """Acknowledge; by now the consumer has spent its time."""
        super().delete(received)
        with self._lock:
            group, since = self._taken_at.pop(received.receipt_handle)
            self._seconds[group] = self._seconds.get(group, 0) + time.monotonic() - since

    def _rank(self, received: ReceivedJob) -> tuple[bool, int]:
        own = self.group_of(received.message.job_id)
        spent = dict(self._seconds)
        in_flight = 0
        for group, since in self._taken_at.values():
            spent[group] = spent.get(group, 0) + time.monotonic() - since
            in_flight += group == own
        return spent.get(own, 0) > _NOISY_SHARE * sum(spent.values()), in_flight
