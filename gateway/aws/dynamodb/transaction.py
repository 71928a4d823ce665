"""Transactions: several writes to the table, all or none."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

# Reasons that mean that another writer was faster. All others (throttling, an item too large) are errors.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
_OVERTAKEN = {"None", "ConditionalCheckFailed", "TransactionConflict"}


def write(client: DynamoDBClient, items: Sequence[TransactWriteItemTypeDef], *, token: str | None = None) -> bool:
    """Write all items or none; False when a condition does not hold, or another transaction has one of the items.

    A repeated `token` within ten minutes writes nothing, and the result is True again. Without a token, a new one
    makes sure that boto3's retry after a lost response writes only once.
    """
    try:
        client.transact_write_items(TransactItems=items, ClientRequestToken=token or str(uuid.uuid4()))
    except client.exceptions.TransactionCanceledException as error:
        reasons = {reason.get("Code", "") for reason in error.response["CancellationReasons"]}
        if reasons <= _OVERTAKEN:
            return False
        raise
    return True
