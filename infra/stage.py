"""The stages that can be deployed, and their options. Operators edit this file and no other.

cdk deploy --all -c stage=prod
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gateway.errors import SettingsInvalidError
from gateway.settings import ApiSettings, BackgroundSettings, ExecutorSettings

_HOSTS = (ApiSettings, BackgroundSettings, ExecutorSettings)
# The deployment sets these itself: they belong to alarms, secrets and the stop timeout of ECS tasks.
_SET_BY_DEPLOYMENT = {"METRICS_NAMESPACE", "SECRET_ARNS", "HEALTH_FILE", "EXECUTOR_ID", "SHUTDOWN_GRACE_SECONDS"}
# A deployment has a bucket and IAM; on Lambda, the receivers of loopback are the runtime and its extensions.
_LOCAL_MODE_ONLY = {
    *("OPEN_ACCESS", "CHOSEN_KEYS", "S3_BUCKET", "S3_ENDPOINT", "S3_REGION"),
    *("WEBHOOK_ALLOW_LOOPBACK", "WEBHOOK_REFUSED_LOOPBACK_PORTS", "PUBLIC_URL"),
}
# The retention periods that CloudWatch Logs supports.
_LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Domain(_Checked):
    """A custom domain for the API. The operator creates its DNS record, which points to the stack's output."""

    name: str = Field(pattern=r"^([a-z0-9-]+\.)+[a-z]{2,}$")
    certificate_arn: str = Field(pattern="^arn:aws[a-z-]*:acm:")  # in the region of the stack


class Throttle(_Checked):
    """Rate limit of API Gateway for all callers together. RATE_LIMIT_MAX is the limit per caller."""

    requests_per_second: int = Field(ge=1, le=10_000)
    burst: int = Field(ge=1, le=5_000)


_IMAGE = r"^[a-z0-9][a-z0-9.:/_-]*(:[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64})$"


_INSTANCE_TYPE = r"^(g4dn|g5|g6|g6e|gr6|g7e)\.(2|4|8|16)?xlarge$"


class Executors(_Checked):
    """Executors with ComfyUI on GPU instances, scaled by the number of jobs down to zero."""

    executor_image: str = Field(pattern=_IMAGE)  # built from executor/Dockerfile; with a tag or a digest
    comfyui_image: str = Field(pattern=_IMAGE)  # accepts the arguments of ComfyUI, and reads models from /models
    models_bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")  # S3, in the region of the stack
    # Whether instances mount the bucket, or a copy of it on EFS: see docs/deployment.md.
    models_volume: Literal["s3", "efs"] = "s3"
    # With one GPU, for the one ComfyUI of an instance, and x86-64, for the images.
    instance_types: tuple[Annotated[str, Field(pattern=_INSTANCE_TYPE)], ...] = Field(
        default=("g6.xlarge", "g5.xlarge"), min_length=1
    )
    most: int = Field(default=4, ge=1, le=20)  # maximum number of executors
    jobs_per_executor: int = Field(default=5, ge=1)  # queued and running jobs per executor before one more is started
    idle_minutes: int = Field(default=15, ge=2, le=120)  # without any job before all executors are stopped
    # Time for spot instances to start, including ComfyUI, before on-demand instances are started as well.
    fallback_minutes: int = Field(default=10, ge=5, le=60)
    disk_gib: int = Field(default=100, ge=50)  # disk of an instance, for container images and cached models


class Stage(_Checked):
    """One deployment. Stages share nothing, even in the same account and region."""

    name: str = Field(pattern="^[a-z][a-z0-9-]{0,15}$")
    # Whether table, files and secrets survive `cdk destroy`, and the table is protected from deletion.
    keep_data: bool
    log_retention_days: Annotated[int, Field(ge=1)]
    # Settings of functions and executors that differ from the defaults in docs/configuration.md.
    settings: Mapping[str, str] = {}
    jwt: bool = False  # whether JWTs are accepted; the deployment generates their secret
    webhooks: bool = True  # whether jobs can have a callbackUrl; the deployment generates the signing secret
    throttle: Throttle = Throttle(requests_per_second=200, burst=400)
    domain: Domain | None = None
    # Requests per IP address within five minutes before AWS WAF blocks it. None: no WAF, which has a price.
    waf_requests_per_address: int | None = Field(default=None, ge=10)
    # Start functions from snapshots: cold starts take a third of the time, for a price (docs/cost.md).
    snap_start: bool = False
    traced_share: float = Field(default=0.01, ge=0, le=1)  # share of requests that X-Ray traces
    oldest_job_minutes: int = Field(default=30, ge=1)  # age of a queued job at which an alarm goes off
    gpu_dollars_per_hour: float = Field(default=0.80, ge=0)  # of an executor, for the dashboard
    executors: Executors | None = None  # None: executors run outside AWS
    alarm_email: str | None = Field(default=None, pattern="^[^@ ]+@[^@ ]+$")

    @field_validator("log_retention_days")
    @classmethod
    def _check_retention(cls, days: int) -> int:
        if days not in _LOG_DAYS:
            raise ValueError(f"must be one of {', '.join(map(str, _LOG_DAYS))}")
        return days

    @field_validator("settings")
    @classmethod
    def _check_settings(cls, settings: Mapping[str, str]) -> Mapping[str, str]:
        fields = {name.upper(): field for host in _HOSTS for name, field in host.model_fields.items()}
        for name in settings:
            if name not in fields:
                raise ValueError(f"{name}: unknown setting")
            if fields[name].is_required():
                raise ValueError(f"{name}: the deployment sets it")
            if "SecretStr" in str(fields[name].annotation):
                raise ValueError(f"{name}: a secret, which must not be in a template")
            if name in _SET_BY_DEPLOYMENT:
                raise ValueError(f"{name}: the deployment sets it")
            if name in _LOCAL_MODE_ONLY:
                raise ValueError(f"{name}: for local mode only")
        set_by_deployment = {name: "https://set.later" for name, field in fields.items() if field.is_required()}
        try:
            for host in _HOSTS:
                host.from_environment({**set_by_deployment, **settings})
        except SettingsInvalidError as error:
            raise ValueError(error.message) from None
        return settings

    def settings_of(self, *hosts: type[BaseModel]) -> dict[str, str]:
        """Return the settings that these hosts read."""
        read = {name.upper() for host in hosts for name in host.model_fields}
        return {name: value for name, value in self.settings.items() if name in read}

    @property
    def metrics_namespace(self) -> str:
        """The CloudWatch namespace of the functions' metrics."""
        return f"ComfyUIGateway/{self.name}"

    @property
    def retention_days(self) -> int:
        """How long jobs and their files are stored."""
        return int(self.settings.get("RETENTION_DAYS", ApiSettings.model_fields["retention_days"].default))


STAGES = {
    stage.name: stage
    for stage in (
        Stage(name="dev", keep_data=False, log_retention_days=7),
        Stage(name="prod", keep_data=True, log_retention_days=90),
    )
}
