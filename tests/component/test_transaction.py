"""Canceled DynamoDB transactions, with stubbed responses: the embedded AWS has no concurrent transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from gateway.aws.dynamodb import transaction

if TYPE_CHECKING:
    from gateway.aws.clients import Clients


def write(aws_clients: Clients, *reasons: str) -> bool:
    """Write a transaction that DynamoDB cancels for these reasons."""
    with Stubber(aws_clients.dynamodb) as stubber:
        stubber.add_client_error(
            "transact_write_items",
            "TransactionCanceledException",
            modeled_fields={"CancellationReasons": [{"Code": reason} for reason in reasons]},
        )
        return transaction.write(aws_clients.dynamodb, [{"Delete": {"TableName": "t", "Key": {}}}])


@pytest.mark.parametrize("reason", ["ConditionalCheckFailed", "TransactionConflict"])
def test_a_conflict_returns_false(aws_clients: Clients, reason: str) -> None:
    """A conflict returns False."""
    assert not write(aws_clients, reason, "None")


@pytest.mark.parametrize(
    "reasons",
    [("ThrottlingError", "None"), ("ValidationError",), ("ConditionalCheckFailed", "ItemCollectionSizeLimitExceeded")],
)
def test_other_reasons_are_errors(aws_clients: Clients, reasons: tuple[str, ...]) -> None:
    """Other cancellation reasons are raised."""
    with pytest.raises(ClientError):
        write(aws_clients, *reasons)
