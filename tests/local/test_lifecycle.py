"""Local mode deletes files after the retention time, as S3 does by the rules of the bucket."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gateway.aws.s3 import S3ObjectStore
from local.event_sources.lifecycle import Lifecycle
from testing.clock import FakeClock

if TYPE_CHECKING:
    import pytest

    from gateway.aws.clients import Clients

RETENTION_DAYS = 30
KEYS = ("outputs/a/1/x.png", "prompts/a", "templates/w/1.json", "templates/w/2.json")


def remaining_after(days: float, aws: dict[str, str], clients: Clients) -> list[str]:
    """Apply the rules so many days from now; return the keys that remain."""
    clock = FakeClock(datetime.now(UTC) + timedelta(days=days))
    Lifecycle(clients.s3, aws["BUCKET_NAME"], RETENTION_DAYS, clock).apply()
    found = clients.s3.list_objects_v2(Bucket=aws["BUCKET_NAME"]).get("Contents", [])
    return sorted(each["Key"] for each in found)


def test_files_are_deleted_when_the_bucket_says_so(aws: dict[str, str], aws_clients: Clients) -> None:
    """Outputs and prompts after the retention time, retired templates a day later, templates in use never."""
    objects = S3ObjectStore(aws_clients.s3, aws["BUCKET_NAME"])
    for key in KEYS:
        objects.put(key, b"content", content_type="text/plain")
    objects.expire("templates/w/1.json", content_type="application/json")
    assert remaining_after(29.9, aws, aws_clients) == sorted(KEYS)
    assert remaining_after(30.1, aws, aws_clients) == ["templates/w/1.json", "templates/w/2.json"]
    assert remaining_after(31.1, aws, aws_clients) == ["templates/w/2.json"]
    assert remaining_after(4000, aws, aws_clients) == ["templates/w/2.json"]


def test_more_files_than_one_call_deletes(
    aws: dict[str, str], aws_clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them go."""
    monkeypatch.setattr("local.event_sources.lifecycle._BATCH", 4)
    objects = S3ObjectStore(aws_clients.s3, aws["BUCKET_NAME"])
    for number in range(10):
        objects.put(f"outputs/{number}", b"x", content_type="text/plain")
    assert remaining_after(31, aws, aws_clients) == []


def test_uploads_that_nobody_completes_are_aborted(aws: dict[str, str], aws_clients: Clients) -> None:
    """After a day: a process that was killed while it uploaded leaves its parts in the store."""
    where: Any = {"Bucket": aws["BUCKET_NAME"], "Key": "outputs/large"}
    begun = aws_clients.s3.create_multipart_upload(**where)["UploadId"]
    aws_clients.s3.upload_part(**where, UploadId=begun, PartNumber=1, Body=b"x" * 5 * 1024 * 1024)

    def uploads() -> int:
        return len(aws_clients.s3.list_multipart_uploads(Bucket=aws["BUCKET_NAME"]).get("Uploads", []))

    remaining_after(0.9, aws, aws_clients)
    assert uploads() == 1
    remaining_after(1.1, aws, aws_clients)
    assert uploads() == 0
