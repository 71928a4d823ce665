"""Counts of messages in all states."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_sqs import SQSClient

    from gateway.domain.job import Priority


class SqsQueueDepth:
    """Implements the port `QueueDepth`. `urls`: of each priority's queue and of its dead-letter queue."""

    def __init__(self, client: SQSClient, urls: Mapping[Priority, Sequence[str]]) -> None:
        self._client = client
        self._urls = urls

    def messages(self, priority: Priority) -> int:
        """Return the number of messages of a priority, including received ones and dead letters."""
        return sum(self._messages_in(url) for url in self._urls[priority])

    def _messages_in(self, url: str) -> int:
        response = self._client.get_queue_attributes(
            QueueUrl=url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesDelayed",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )
        return sum(int(count) for count in response["Attributes"].values())
