"""Settings for an output bucket of the user, in S3 or a compatible store, instead of the embedded AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from gateway.aws.clients import Clients
from gateway.errors import SettingsInvalidError
from gateway.settings import OutputBucketSettings

if TYPE_CHECKING:
    from gateway.settings import LocalSettings

VARIABLES = ("S3_ENDPOINT", "S3_REGION", "S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY")
_DEFAULT_REGION = "us-east-1"
_REASONS = {"403": "access is denied", "404": "there is no such bucket"}


def output_bucket_variables(settings: LocalSettings) -> dict[str, str]:
    """Return the variables of the bucket for the API process and the executor; empty without a bucket.

    Without S3_ENDPOINT the bucket is in S3 itself: boto3's default would be the embedded AWS here.
    """
    if settings.s3_bucket is None:
        return {}
    if settings.s3_access_key is None or settings.s3_secret_key is None:
        raise SettingsInvalidError("S3_ACCESS_KEY: is not set, but S3_BUCKET is")
    region = settings.s3_region or _DEFAULT_REGION
    return {
        "S3_ENDPOINT": settings.s3_endpoint or f"https://s3.{region}.amazonaws.com",
        "S3_REGION": region,
        "S3_BUCKET": settings.s3_bucket,
        "S3_ACCESS_KEY": settings.s3_access_key.get_secret_value(),
        "S3_SECRET_KEY": settings.s3_secret_key.get_secret_value(),
    }


def check_output_bucket(variables: dict[str, str]) -> None:
    """Check access to the bucket, so that errors appear before the first job. Raises SettingsInvalidError."""
    if not variables:
        return
    client = Clients(OutputBucketSettings.from_environment(variables)).output_s3
    try:
        client.head_bucket(Bucket=variables["S3_BUCKET"])
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise SettingsInvalidError(f"S3_BUCKET: {_REASONS.get(code, f'cannot be used ({code})')}") from None
    except BotoCoreError as error:
        raise SettingsInvalidError(f"S3_ENDPOINT: cannot be reached ({type(error).__name__})") from None
    finally:
        client.close()
