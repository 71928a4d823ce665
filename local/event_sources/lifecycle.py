"""Apply the lifecycle rules of the bucket, as S3 does once a day: the embedded AWS stores them only.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lifecycle-mgmt.html
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gateway.aws.resources import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from gateway.ports import Clock

_EVERY_SECONDS = 3600.0
_FIRST_AFTER_SECONDS = 20.0  # the start is busy enough
_UPLOAD_DAYS = 1  # after which an upload in parts that was not completed is aborted
_BATCH = 1000  # the limit of DeleteObjects

logger = logging.getLogger(__name__)


class Lifecycle:
    """Deletes expired objects and aborts old uploads, now and then."""

    def __init__(self, client: S3Client, bucket_name: str, retention_days: int, clock: Clock) -> None:
        self._client = client
        self._bucket_name = bucket_name
        self._retention_days = retention_days
        self._clock = clock

    def start(self, stopping: threading.Event) -> None:
        """Start the thread, which runs until `stopping` is set."""

        def run() -> None:
            delay = _FIRST_AFTER_SECONDS
            while not stopping.wait(delay):
                delay = _EVERY_SECONDS
                try:
                    self.apply()
                except Exception:
                    logger.exception("expired files could not be deleted")

        threading.Thread(target=run, name="lifecycle", daemon=True).start()

    def apply(self) -> None:
        """Delete what has expired, and abort uploads that nobody completes."""
        expired = list(self._expired())
        for start in range(0, len(expired), _BATCH):
            keys = [{"Key": key} for key in expired[start : start + _BATCH]]
            self._client.delete_objects(Bucket=self._bucket_name, Delete={"Objects": keys, "Quiet": True})  # type: ignore[typeddict-item]  # a list of keys
        before = self._clock.now() - timedelta(days=_UPLOAD_DAYS)
        for upload in self._client.list_multipart_uploads(Bucket=self._bucket_name).get("Uploads", []):
            if upload["Initiated"] < before:
                self._client.abort_multipart_upload(
                    Bucket=self._bucket_name, Key=upload["Key"], UploadId=upload["UploadId"]
                )

    def _expired(self) -> Iterator[str]:
        before = self._clock.now() - timedelta(days=self._retention_days)
        for key, written_at in self._objects():
            if key.startswith(BUCKET.expiring_prefixes):
                if written_at < before:
                    yield key
            elif written_at < before - timedelta(days=1) and self._is_tagged(key):
                yield key

    def _objects(self) -> Iterator[tuple[str, datetime]]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket_name):
            for found in page.get("Contents", []):
                yield found["Key"], found["LastModified"]

    def _is_tagged(self, key: str) -> bool:
        name, value = BUCKET.expiring_tag
        tags = self._client.get_object_tagging(Bucket=self._bucket_name, Key=key)["TagSet"]
        return {"Key": name, "Value": value} in tags
