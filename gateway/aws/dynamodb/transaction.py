"""Several writes to the table as one: all of them happen, or none."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

# What says that another writer was faster. Anything else (throttling, an item too large) is an error.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
_OVERTAKEN = {"None", "ConditionalCheckFailed", "TransactionConflict"}


def write(client: DynamoDBClient, items: Sequence[TransactWriteItemTypeDef], *, token: str | None = None) -> bool:
    """Write all, or nothing: False when a condition does not hold, or another transaction has one of the items.

    Items that were written with a token are not written with it again for ten minutes; the answer is True then too.
    Without one, a call that boto3 repeats because its answer was lost writes once.
    """
    try:
        client.transact_write_items(TransactItems=items, ClientRequestToken=token or str(uuid.uuid4()))
    except client.exceptions.TransactionCanceledException as error:
        reasons = {reason.get("Code", "") for reason in error.response["CancellationReasons"]}
        if reasons <= _OVERTAKEN:
            return False
        raise
    return True
