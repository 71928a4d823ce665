"""What a canceled transaction means. The embedded AWS never holds two at the same moment: its answers are made here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from gateway.aws.dynamodb import transaction

if TYPE_CHECKING:
    from gateway.aws.clients import Clients


def write(aws_clients: Clients, *reasons: str) -> bool:
    """Write something of which DynamoDB says that it was canceled, for these reasons."""
    with Stubber(aws_clients.dynamodb) as stubber:
        stubber.add_client_error(
            "transact_write_items",
            "TransactionCanceledException",
            modeled_fields={"CancellationReasons": [{"Code": reason} for reason in reasons]},
        )
        return transaction.write(aws_clients.dynamodb, [{"Delete": {"TableName": "t", "Key": {}}}])


@pytest.mark.parametrize("reason", ["ConditionalCheckFailed", "TransactionConflict"])
def test_another_writer_was_faster(aws_clients: Clients, reason: str) -> None:
    """Nothing was written, and that is for the caller to tell."""
    assert not write(aws_clients, reason, "None")


@pytest.mark.parametrize(
    "reasons",
    [("ThrottlingError", "None"), ("ValidationError",), ("ConditionalCheckFailed", "ItemCollectionSizeLimitExceeded")],
)
def test_anything_else_is_an_error(aws_clients: Clients, reasons: tuple[str, ...]) -> None:
    """A table that cannot write is not taken for one that says no."""
    with pytest.raises(ClientError):
        write(aws_clients, *reasons)
