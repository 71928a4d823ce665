"""Files in S3, or in anything that speaks its API."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO, cast

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError, ParamValidationError

from gateway.aws.resources import BUCKET
from gateway.errors import ObjectRefusedError
from gateway.ports import StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MIB = 1024 * 1024
_MAX_READS = 3  # of a response that breaks off
_MISSING = ("NoSuchKey", "404")
# What a store says of an object that it will never take. All other errors can pass, also those of credentials, of
# permissions and of a missing bucket: an operator corrects them.
_REFUSED = (
    *("EntityTooLarge", "KeyTooLongError", "MetadataTooLarge", "InvalidURI", "413", "414"),
    *("XMinioInvalidObjectName", "KeyTooLong"),  # of other stores
)
# A file up to 8 MiB is one request; larger ones, up to 48 GiB, are uploaded in parts, with few in memory at a time.
_TRANSFER = TransferConfig(multipart_threshold=8 * _MIB, multipart_chunksize=5 * _MIB, max_concurrency=2)
_MAX_BYTES = 10_000 * 5 * _MIB  # S3 takes 10,000 parts
_TRANSFER.max_in_memory_upload_chunks = 2  # instead of 10; boto3's class passes it on, but has no parameter for it


class S3ObjectStore:
    """Implements the port `ObjectStore`."""

    def __init__(self, client: S3Client, bucket_name: str) -> None:
        self._client = client
        self._bucket_name = bucket_name

    def put(self, key: str, content: bytes, *, content_type: str) -> None:
        """Store a small object."""
        self._client.put_object(Bucket=self._bucket_name, Key=key, Body=content, ContentType=content_type)

    def put_stream(self, key: str, stream: BinaryIO, *, content_type: str, disposition: str) -> StoredObject:
        """Store an object of any size while reading it."""
        hashing = _HashingReader(stream)
        try:
            self._client.upload_fileobj(
                # boto3 only calls read().
                cast("BinaryIO", hashing),
                self._bucket_name,
                key,
                ExtraArgs={"ContentType": content_type, "ContentDisposition": disposition},
                Config=_TRANSFER,
            )
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            status = error.response["ResponseMetadata"].get("HTTPStatusCode")
            if code in _REFUSED or status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                raise ObjectRefusedError(f"{code}.") from None
            raise
        except ParamValidationError:  # of boto3 itself, before any request
            raise ObjectRefusedError("its name is not valid.") from None
        return StoredObject(size=hashing.size, sha256=hashing.digest.hexdigest())

    def get(self, key: str) -> bytes:
        """Read a whole object. Raises KeyError when there is none."""
        # boto3 retries the call, but not reading the response.
        for _ in range(_MAX_READS - 1):
            with suppress(HTTPClientError, IncompleteReadError):
                return self._read(key)
        return self._read(key)

    def _read(self, key: str) -> bytes:
        try:
            return self._client.get_object(Bucket=self._bucket_name, Key=key)["Body"].read()
        except ClientError as error:
            # A 404 without S3's own code is a proxy's, or says that the bucket is missing.
            if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                raise KeyError(key) from None
            raise

    def exists(self, key: str) -> bool:
        """Return whether there is an object with this key."""
        try:
            self._client.head_object(Bucket=self._bucket_name, Key=key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _MISSING:
                return False
            raise
        return True

    def expire(self, key: str, *, content_type: str) -> None:
        """Mark an object that no new job will need for removal after the retention time, counted from now."""
        name, value = BUCKET.expiring_tag
        self._client.copy_object(
            Bucket=self._bucket_name,
            Key=key,
            CopySource={"Bucket": self._bucket_name, "Key": key},
            TaggingDirective="REPLACE",
            Tagging=f"{name}={value}",
            # S3 copies an object onto itself only if something besides its tags is replaced.
            MetadataDirective="REPLACE",
            ContentType=content_type,
        )

    def presigned_url(self, key: str, *, seconds: int) -> str:
        """Return a URL that reads the object with a plain GET for so many seconds. Signed locally, without a call."""
        return self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket_name, "Key": key}, ExpiresIn=seconds
        )


class _HashingReader:
    """Hashes and counts the bytes that are read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        # boto3 takes a short read for the end, and each read for a part: S3 refuses parts under 5 MiB.
        pieces = []
        remaining = size
        while remaining and (piece := self._stream.read(remaining)):
            pieces.append(piece)
            remaining = remaining - len(piece) if size > 0 else -1
        chunk = b"".join(pieces)
        self.digest.update(chunk)
        self.size += len(chunk)
        if self.size > _MAX_BYTES:
            raise ObjectRefusedError("EntityTooLarge.")
        return chunk
