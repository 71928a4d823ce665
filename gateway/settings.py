"""Settings: one class per host, read from the environment once, in the wiring.

The environment variables are the field names in upper case.
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from gateway.errors import SettingsInvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails


# Stricter than urllib.parse, which accepts nearly anything as a URL. A URL that an HTTP client would reject later, with
# its own error, is rejected here.
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HTTP_URL = re.compile(
    rf"https?://((?P<name>{_LABEL}(\.{_LABEL})*\.?)|\[(?P<ipv6>[0-9a-f:.]+)\])(:(?P<port>[0-9]{{1,5}}))?"
    r"(/[!-~]*)?",
    re.IGNORECASE,
)
_MAX_HOST_NAME = 253
_MAX_PORT = 65535


def _http_url(text: str) -> str:
    # No message contains the text, which may include a password.
    if "@" in text:
        raise ValueError("must be an address without user and password, like http://127.0.0.1:8188")
    if "?" in text or "#" in text:
        raise ValueError("must be an address without ? and #, like http://127.0.0.1:8188")
    parts = _HTTP_URL.fullmatch(text)
    if (
        parts is None
        or len(parts["name"] or "") > _MAX_HOST_NAME
        or not 0 < int(parts["port"] or 80) <= _MAX_PORT
        or (parts["ipv6"] and not _is_ipv6(parts["ipv6"]))
    ):
        raise ValueError("must be an address like http://127.0.0.1:8188")
    return text.rstrip("/")


def _is_ipv6(text: str) -> bool:
    from ipaddress import IPv6Address  # noqa: PLC0415  only needed for such an address

    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


HttpUrl = Annotated[str, AfterValidator(_http_url)]


_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if origins != ("*",) and not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError("must be *, or origins like https://app.example.com without a path, separated by commas")
    return origins


Origins = Annotated[tuple[str, ...], BeforeValidator(_origins)]

_MIN_JWT_SECRET_BYTES = 32


def _long_enough(secret: SecretStr) -> SecretStr:
    # RFC 7518, 3.2: a key for HS256 is at least as long as its hash. A shorter one can be guessed from any token.
    if len(secret.get_secret_value().encode()) < _MIN_JWT_SECRET_BYTES:
        raise ValueError(f"must have at least {_MIN_JWT_SECRET_BYTES} bytes, and be random")
    return secret


JwtSecret = Annotated[SecretStr, AfterValidator(_long_enough)]

_MIN_SIGNING_KEY_BYTES = 24


def _signing_secret(secret: SecretStr) -> SecretStr:
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: 24 to 64 bytes.
    text = secret.get_secret_value()
    key = text.encode()
    if text.startswith("whsec_"):
        try:
            key = b64decode(text.removeprefix("whsec_"), validate=True)
        except ValueError:
            raise ValueError("must be base64 after whsec_") from None
    if len(key) < _MIN_SIGNING_KEY_BYTES:
        raise ValueError(f"must have at least {_MIN_SIGNING_KEY_BYTES} bytes, and be random")
    return secret


WebhookSecret = Annotated[SecretStr, AfterValidator(_signing_secret)]

_RENEWAL = re.compile(r"(?P<owner>.+):(?P<times>[1-9][0-9]{0,3})")


def _renewals(text: str) -> tuple[tuple[str, int], ...]:
    found = [_RENEWAL.fullmatch(part.strip()) for part in text.split(",")]
    renewals = {match["owner"]: int(match["times"]) for match in found if match}
    if len(renewals) < len(found):
        raise ValueError("must be owners and how often their secret was renewed, like ada:1,bob:2, each owner once")
    return tuple(renewals.items())


Renewals = Annotated[tuple[tuple[str, int], ...], BeforeValidator(_renewals)]

_DOMAIN = re.compile(rf"\*|(\*\.)?{_LABEL}(\.{_LABEL})*|[0-9a-f]*:[0-9a-f:.]+")


def _domains(text: str) -> tuple[str, ...]:
    domains = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if not domains or not all(_DOMAIN.fullmatch(domain) for domain in domains):
        raise ValueError("must be *, or names like hooks.example.com and *.example.com, separated by commas")
    return domains


Domains = Annotated[tuple[str, ...], BeforeValidator(_domains)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings. An empty variable counts as not set.

        Raises SettingsInvalidError with one line that names every invalid variable.
        """
        given = {name: environment.get(name.upper()) for name in cls.model_fields}
        try:
            return cls.model_validate({name: value for name, value in given.items() if value})
        except ValidationError as error:
            # The message contains no values: one of them may be a secret.
            wrong = {str(each["loc"][0]).upper(): _reason(each) for each in error.errors()}
            raise SettingsInvalidError(
                "; ".join(f"{name}: {reason}" for name, reason in wrong.items()), wrong
            ) from None


# By pydantic's type of an error. The names in braces are in its context.
_REASONS = {
    "missing": "is not set",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "bool_parsing": "must be true or false",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "must match {pattern}",
}


def _reason(error: ErrorDetails) -> str:
    reason = _REASONS.get(error["type"])
    return reason.format(**error.get("ctx", {})) if reason else error["msg"].removeprefix("Value error, ")


def _port(text: object) -> object:
    if isinstance(text, str) and not (re.fullmatch("[0-9]{1,5}", text) and 0 < int(text) <= _MAX_PORT):
        raise ValueError(f"must be a number from 1 to {_MAX_PORT}")
    return text


def _ports(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("[0-9]{1,5}", part) and 0 < int(part) <= _MAX_PORT for part in parts):
        raise ValueError(f"must be numbers from 1 to {_MAX_PORT}, separated by commas")
    return tuple(map(int, parts))


Ports = Annotated[tuple[int, ...], BeforeValidator(_ports)]


class OutputBucketSettings(_Settings):
    """The operator's own bucket for outputs, in S3 or in a store with the same API.

    Without `s3_bucket`, outputs are in the gateway's bucket. boto3 finds other settings that are not set as usual.
    """

    s3_endpoint: HttpUrl | None = None
    s3_region: str | None = Field(default=None, pattern="^[a-z0-9-]{1,64}$")
    s3_bucket: str | None = Field(default=None, pattern="^[a-zA-Z0-9._-]{1,255}$", validate_default=True)
    s3_access_key: SecretStr | None = None
    s3_secret_key: SecretStr | None = Field(default=None, validate_default=True)

    @field_validator("s3_bucket")
    @classmethod
    def _endpoint_has_bucket(cls, bucket: str | None, info: ValidationInfo) -> str | None:
        if bucket is None and info.data.get("s3_endpoint"):
            raise ValueError("is not set, but S3_ENDPOINT is")
        return bucket

    @field_validator("s3_secret_key")
    @classmethod
    def _keys_come_in_pairs(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (secret is None) != (info.data.get("s3_access_key") is None):
            raise ValueError("must be set together with S3_ACCESS_KEY")
        return secret


_LogLevel = Annotated[Literal["DEBUG", "INFO", "WARN", "WARNING", "ERROR"], BeforeValidator(str.upper)]


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


class SecretSettings(_Settings):
    """Where secret settings are stored, if they are not in the environment."""

    secret_arns: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()  # in Secrets Manager


class _AwsSettings(OutputBucketSettings, SecretSettings):
    """Where state is stored. Credentials, region and endpoints are boto3's own variables."""

    table_name: str
    bucket_name: str
    event_bus_name: str
    high_queue_url: str
    normal_queue_url: str
    low_queue_url: str
    log_level: _LogLevel = "INFO"
    retention_days: int = Field(default=30, ge=1, le=3650)


_DAY_SECONDS = 24 * 3600


def _within_retention(seconds: int, info: ValidationInfo, reason: str) -> int:
    days = info.data.get("retention_days")
    if days is not None and seconds > days * _DAY_SECONDS:
        raise ValueError(
            f"must be at most {days * _DAY_SECONDS}, which is RETENTION_DAYS: {reason}; lower it, or raise"
            " RETENTION_DAYS"
        )
    return seconds


class WebhookSecretSettings(_Settings):
    """For the command that prints owners' secrets."""

    webhook_secret: WebhookSecret
    webhook_secret_renewals: Renewals = ()


class FunctionSettings(_AwsSettings):
    """For all Lambda functions. Without a webhook secret, callback URLs are rejected."""

    webhook_queue_url: str
    metrics_namespace: str = Field(default="ComfyUIGateway", pattern="^[A-Za-z0-9._/#:-]{1,255}$")  # in CloudWatch
    webhook_secret: WebhookSecret | None = None
    webhook_secret_previous: WebhookSecret | None = None  # also signs, during a rotation
    webhook_secret_per_owner: bool = False  # each owner has its own secret, derived from it
    webhook_secret_renewals: Renewals = ()  # how often the secrets of these owners were renewed
    webhook_allowed_domains: Domains = Field(default="*", validate_default=True)
    webhook_allow_http: bool = False
    webhook_allow_loopback: bool = False  # receivers on this machine; local mode only
    webhook_refused_loopback_ports: Ports = ()  # of the processes of local mode, which sets it
    download_url_seconds: int = Field(default=3600, ge=60, le=7 * _DAY_SECONDS)

    @field_validator("download_url_seconds")
    @classmethod
    def _downloads_exist(cls, seconds: int, info: ValidationInfo) -> int:
        return _within_retention(seconds, info, "the files are deleted by then")

    file_url_secret: SecretStr | None = None  # signs URLs of files on the gateway's own address; local mode sets it
    public_url: HttpUrl | None = None  # the gateway's address in these URLs; None: as the caller reached it

    @field_validator("webhook_secret_previous")
    @classmethod
    def _has_successor(cls, previous: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if previous is not None and info.data.get("webhook_secret") is None:
            raise ValueError("is set, but WEBHOOK_SECRET is not")
        return previous

    @field_validator("webhook_secret_renewals")
    @classmethod
    def _owners_have_their_own(cls, renewals: Renewals, info: ValidationInfo) -> Renewals:
        if renewals and not info.data.get("webhook_secret_per_owner"):
            raise ValueError("is set, but WEBHOOK_SECRET_PER_OWNER is not true")
        return renewals


class ApiSettings(FunctionSettings):
    """For the Lambda functions behind the API."""

    open_access: bool = False  # every caller is an admin; only for local mode without keys and JWT secret
    chosen_keys: bool = False  # whether keys can have any form, as those of API_KEYS in local mode
    jwt_secret: JwtSecret | None = None  # of JWTs; without it, they are rejected
    rate_limit_max: int = Field(default=100, ge=0)  # requests per caller and window; 0 means no limit
    rate_limit_window_ms: int = Field(default=60_000, ge=1000, le=24 * 3600 * 1000)
    cors_origins: Origins = ()  # of web pages that may call the API: * or exact origins
    max_image_size: int = Field(default=2048, ge=1)  # pixels
    max_batch_size: int = Field(default=8, ge=1)
    cache_enabled: bool = True  # whether equal jobs reuse the outputs of the first one
    cache_scope: Literal["owner", "global"] = "owner"  # within which equal jobs are found
    privacy_mode: bool = False  # whether inputs of jobs are stored only in the queue

    @field_validator("cors_origins")
    @classmethod
    def _pages_need_keys(cls, origins: Origins, info: ValidationInfo) -> Origins:
        if origins == ("*",) and info.data.get("open_access"):
            raise ValueError("must list origins, not *, as long as there are no keys: any page would be an admin")
        return origins


class BackgroundSettings(FunctionSettings):
    """For the Lambda functions behind queues, schedules and the table's stream."""

    high_dead_letter_queue_url: str
    normal_dead_letter_queue_url: str
    low_dead_letter_queue_url: str


_QUEUE_TIMEOUT_MS = 3_600_000


class ExecutorSettings(_AwsSettings):
    """For the executor."""

    comfyui_url: HttpUrl = "http://127.0.0.1:8188"
    comfyui_timeout_ms: int = Field(default=600_000, ge=1000)  # of one execution, from its start
    comfyui_stall_ms: int = Field(default=300_000, ge=1000)  # of running without an event; then ComfyUI counts as hung
    lease_seconds: int = Field(default=30, ge=2, le=3600)  # after which other executors claim the job of one that died
    executor_id: str | None = None  # host name and process id when not set
    max_concurrency: int = Field(default=1, ge=1, le=16)  # prompts that ComfyUI runs at the same time
    look_ahead: int = Field(default=1, ge=0, le=8)  # prompts waiting in ComfyUI's own queue in addition
    # Of waiting in ComfyUI's own queue. The default grows with what the executor's own prompts can take.
    comfyui_queue_timeout_ms: int = Field(default=_QUEUE_TIMEOUT_MS, ge=1000, validate_default=True)
    max_attempts: int = Field(default=3, ge=1, le=8)
    cache_ttl_seconds: int = Field(default=_DAY_SECONDS, ge=1)  # how long a cached result is used
    ecs_agent_uri: HttpUrl | None = None  # of the container's agent; ECS sets it
    health_file: str | None = None  # touched while the executor is healthy; see executor.liveness
    shutdown_grace_seconds: float = Field(default=20, ge=0, le=3600)  # for running jobs to finish

    @field_validator("comfyui_queue_timeout_ms")
    @classmethod
    def _outlasts_own_prompts(cls, queue_timeout_ms: int, info: ValidationInfo) -> int:
        names = ("comfyui_timeout_ms", "max_concurrency", "look_ahead")
        if any(name not in info.data for name in names):
            return queue_timeout_ms  # one of them is invalid, which is reported
        timeout_ms, concurrency, look_ahead = (info.data[name] for name in names)
        # A prompt waits behind at most this many of the executor's own, each of which may use its whole time.
        own_ms: int = (concurrency + look_ahead - 1) * timeout_ms
        if queue_timeout_ms == _QUEUE_TIMEOUT_MS:
            return max(queue_timeout_ms, own_ms + int(timeout_ms))
        if queue_timeout_ms < own_ms:
            raise ValueError(
                f"must be at least {own_ms}, the longest wait behind this executor's own prompts; raise it, or lower"
                " COMFYUI_TIMEOUT_MS, MAX_CONCURRENCY or LOOK_AHEAD"
            )
        return queue_timeout_ms

    @field_validator("cache_ttl_seconds")
    @classmethod
    def _cached_files_exist(cls, seconds: int, info: ValidationInfo) -> int:
        return _within_retention(seconds, info, "the files of a cached result are deleted by then")


class LocalSettings(OutputBucketSettings):
    """For local mode: the settings that a person sets before `make run`."""

    host: str = "127.0.0.1"
    port: Annotated[int, BeforeValidator(_port)] = 3000
    data_dir: str = "./data"
    comfyui_url: HttpUrl = "http://127.0.0.1:8188"
    api_keys: str = ""  # key1:admin,key2:user
    jwt_secret: JwtSecret | None = None  # for the API
    webhook_secret: WebhookSecret | None = None  # for the webhook function
    webhook_secret_previous: WebhookSecret | None = None  # also for the webhook function
    privacy_mode: bool = False  # for the API and the bundled simulator
