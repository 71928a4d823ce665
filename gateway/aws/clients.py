"""boto3 clients, created once per process, and only those that a host needs.

boto3 reads endpoints and credentials from the environment (AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3, AWS_REGION …), so
nothing here knows whether it calls AWS. Only the operator's own output bucket can be elsewhere.
"""

from __future__ import annotations

import os
import random
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from gateway.__about__ import VERSION
from gateway.errors import SettingsInvalidError
from gateway.settings import OutputBucketSettings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from pydantic import SecretStr

_MAX_ATTEMPTS = 3
# A request has 29 s in all, so no single call may hang: three attempts of at most 2 + 5 s.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": _MAX_ATTEMPTS},
    # boto3 builds its own twice in each call, which takes a fifth of the call's time.
    user_agent=f"comfyui-gateway/{VERSION} boto3/{boto3.__version__}",
)
_SQS_RETRY_SECONDS = 0.2


class Clients:
    """The clients of one process.

    `max_connections`: the number of concurrent calls. `output_bucket`: the endpoint and credentials of output_s3.
    All other clients raise SettingsInvalidError when no region is set.
    """

    def __init__(self, output_bucket: OutputBucketSettings | None = None, *, max_connections: int = 10) -> None:
        self._output_bucket = output_bucket or OutputBucketSettings()
        # boto3 itself reads AWS_DEFAULT_REGION only; the other SDKs, Lambda and ECS use AWS_REGION.
        self._session = _session(os.environ.get("AWS_REGION"), os.environ.get("AWS_ACCESS_KEY_ID"))
        self._config = _CONFIG.merge(Config(max_pool_connections=max_connections))
        self._s3_config = self._config.merge(Config(read_timeout=20, signature_version="s3v4"))

    @property
    def _aws(self) -> boto3.session.Session:
        if self._session.region_name is None:
            raise SettingsInvalidError("AWS_REGION: is not set")
        return self._session

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """DynamoDB."""
        return self._aws.client("dynamodb", config=self._config)

    @cached_property
    def sqs(self) -> SQSClient:
        """SQS, for everything but long polls."""
        return self._sqs(self._config)

    @cached_property
    def polling_sqs(self) -> SQSClient:
        """SQS, for long polls: they take up to 20 s, which no other call may."""
        return self._sqs(self._config.merge(Config(read_timeout=25)))

    def _sqs(self, config: Config) -> SQSClient:
        client = self._aws.client("sqs", config=config)
        client.meta.events.register("needs-retry.sqs", _retry_throttled)  # type: ignore[arg-type]  # its result counts
        return client

    @cached_property
    def s3(self) -> S3Client:
        """S3. Signature version 4 throughout, which presigned URLs need in every region."""
        return self._aws.client("s3", config=self._s3_config)

    @cached_property
    def output_s3(self) -> S3Client:
        """The store of the operator's own output bucket."""
        # Many stores do not support the checksums that boto3 sends with every request.
        config = Config(request_checksum_calculation="when_required", response_checksum_validation="when_required")
        settings = self._output_bucket
        return self._session.client(
            "s3",
            config=self._s3_config.merge(config),
            endpoint_url=settings.s3_endpoint,
            region_name=settings.s3_region,
            aws_access_key_id=_plain(settings.s3_access_key),
            aws_secret_access_key=_plain(settings.s3_secret_key),
        )

    @cached_property
    def secretsmanager(self) -> SecretsManagerClient:
        """Secrets Manager."""
        return self._aws.client("secretsmanager", config=self._config)

    @cached_property
    def cloudformation(self) -> Any:  # noqa: ANN401  its types are not worth it for one call of a command
        """CloudFormation."""
        return self._aws.client("cloudformation", config=self._config)

    @cached_property
    def events(self) -> EventBridgeClient:
        """EventBridge."""
        return self._aws.client("events", config=self._config)


@cache
def _session(region: str | None, _key_id: str | None) -> boto3.session.Session:
    """Return one session per process and credentials, which a session reads once.

    Each session also reads the descriptions of the services itself, in 70 ms.
    """
    return boto3.session.Session(region_name=region)


def _retry_throttled(response: tuple[object, dict[str, Any]] | None, attempts: int, **_: object) -> float | None:
    """Return the seconds after which boto3 retries a call that SQS throttled; None for any other response.

    boto3 knows this error as RequestThrottled, but SQS still uses its name from before the JSON protocol.
    """
    code = response[1].get("Error", {}).get("Code", "") if response else ""
    if code == "AWS.SimpleQueueService.RequestThrottled" and attempts < _MAX_ATTEMPTS:
        return random.uniform(1, 2) * _SQS_RETRY_SECONDS * attempts  # noqa: S311  not a secret
    return None


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
