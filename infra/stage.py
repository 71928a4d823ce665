"""The stages that can be deployed, and what differs between them: the one place for an operator to edit.

cdk deploy --all -c stage=prod
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gateway.errors import SettingsInvalidError
from gateway.settings import ApiSettings, BackgroundSettings, ExecutorSettings

_HOSTS = (ApiSettings, BackgroundSettings, ExecutorSettings)
# What goes with other things that a deployment has: alarms, secrets, the time that ECS gives a task to stop.
_OF_THE_DEPLOYMENT = {"METRICS_NAMESPACE", "SECRET_ARNS", "HEALTH_FILE", "EXECUTOR_ID", "SHUTDOWN_GRACE_SECONDS"}
_OF_LOCAL_MODE = {"OPEN_ACCESS", "S3_BUCKET", "S3_ENDPOINT", "S3_REGION"}  # a deployment has a bucket, and rights on it
# How long CloudWatch can keep logs.
_LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Domain(_Checked):
    """A domain of one's own for the API. Its DNS record is the operator's: it points at the stack's output."""

    name: str = Field(pattern=r"^([a-z0-9-]+\.)+[a-z]{2,}$")
    certificate_arn: str = Field(pattern="^arn:aws[a-z-]*:acm:")  # in the stack's own region


class Throttle(_Checked):
    """What API Gateway lets through, from all callers together; a caller's own limit is RATE_LIMIT_MAX."""

    requests_per_second: int = Field(ge=1, le=10_000)
    burst: int = Field(ge=1, le=5_000)


_IMAGE = r"^[a-z0-9][a-z0-9.:/_-]*(:[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64})$"


_ONE_GPU = r"^(g4dn|g5|g6|g6e|gr6|g7e)\.(2|4|8|16)?xlarge$"


class Executors(_Checked):
    """Executors beside ComfyUIs on GPU instances, as many as there is work for and none when there is none."""

    executor_image: str = Field(pattern=_IMAGE)  # made from executor/Dockerfile; with a tag or a digest
    comfyui_image: str = Field(pattern=_IMAGE)  # takes ComfyUI's own arguments, and finds models in /models
    models_bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")  # S3, in the stack's own region
    # Whether instances read that bucket itself, or a copy of it on EFS that the stack has: docs/deployment.md.
    models_volume: Literal["s3", "efs"] = "s3"
    # With one GPU each, as there is one ComfyUI on an instance, and x86-64, as the images are.
    instance_types: tuple[Annotated[str, Field(pattern=_ONE_GPU)], ...] = Field(
        default=("g6.xlarge", "g5.xlarge"), min_length=1
    )
    most: int = Field(default=4, ge=1, le=20)  # executors
    jobs_per_executor: int = Field(default=5, ge=1)  # that wait or run, before there is one executor more
    idle_minutes: int = Field(default=15, ge=2, le=120)  # without any job, then all of them end
    # That spot instances may take to come, ComfyUI's start included; then on-demand instances are asked for as well.
    fallback_minutes: int = Field(default=10, ge=5, le=60)
    disk_gib: int = Field(default=100, ge=50)  # of an instance: images, and what was read of the models


class Stage(_Checked):
    """One deployment. Two of different names never share or shadow anything, in one account and region either."""

    name: str = Field(pattern="^[a-z][a-z0-9-]{0,15}$")
    # Whether table, files and secrets outlive `cdk destroy`, and the table is refused to be deleted before.
    keep_data: bool
    log_retention_days: Annotated[int, Field(ge=1)]
    # Settings of functions and executor by their names in docs/configuration.md, where they are not the defaults.
    settings: Mapping[str, str] = {}
    jwt: bool = False  # whether JWTs are taken; their secret is made by the deployment
    webhooks: bool = True  # whether jobs may have a callbackUrl; their secret likewise
    throttle: Throttle = Throttle(requests_per_second=200, burst=400)
    domain: Domain | None = None
    # Requests of one address within five minutes, then AWS WAF refuses it; None is no WAF, which costs by itself.
    waf_requests_per_address: int | None = Field(default=None, ge=10)
    # Start functions from snapshots: cold starts of about a third, for the price of keeping them (docs/cost.md).
    snap_start: bool = False
    traced_share: float = Field(default=0.01, ge=0, le=1)  # of requests, by X-Ray
    oldest_job_minutes: int = Field(default=30, ge=1)  # that a job may wait before an alarm goes off
    gpu_dollars_per_hour: float = Field(default=0.80, ge=0)  # of an executor, to show what a job costs
    executors: Executors | None = None  # None: they run elsewhere, if anywhere
    alarm_email: str | None = Field(default=None, pattern="^[^@ ]+@[^@ ]+$")

    @field_validator("log_retention_days")
    @classmethod
    def _can_be_had(cls, days: int) -> int:
        if days not in _LOG_DAYS:
            raise ValueError(f"must be one of {', '.join(map(str, _LOG_DAYS))}")
        return days

    @field_validator("settings")
    @classmethod
    def _are_settings(cls, settings: Mapping[str, str]) -> Mapping[str, str]:
        fields = {name.upper(): field for host in _HOSTS for name, field in host.model_fields.items()}
        for name in settings:
            if name not in fields:
                raise ValueError(f"{name}: there is no such setting")
            if fields[name].is_required():
                raise ValueError(f"{name}: the deployment sets it")
            if "SecretStr" in str(fields[name].annotation):
                raise ValueError(f"{name}: is a secret, and these end up in templates")
            if name in _OF_THE_DEPLOYMENT:
                raise ValueError(f"{name}: the deployment sees to it")
            if name in _OF_LOCAL_MODE:
                raise ValueError(f"{name}: is for local mode")
        set_by_deployment = {name: "https://set.later" for name, field in fields.items() if field.is_required()}
        try:
            for host in _HOSTS:
                host.from_environment({**set_by_deployment, **settings})
        except SettingsInvalidError as error:
            raise ValueError(error.message) from None
        return settings

    def settings_of(self, *hosts: type[BaseModel]) -> dict[str, str]:
        """Pick the settings that these hosts read."""
        read = {name.upper() for host in hosts for name in host.model_fields}
        return {name: value for name, value in self.settings.items() if name in read}

    @property
    def metrics_namespace(self) -> str:
        """Where CloudWatch has the functions' metrics."""
        return f"ComfyUIGateway/{self.name}"

    @property
    def retention_days(self) -> int:
        """How long jobs and their files are kept."""
        return int(self.settings.get("RETENTION_DAYS", ApiSettings.model_fields["retention_days"].default))


STAGES = {
    stage.name: stage
    for stage in (
        Stage(name="dev", keep_data=False, log_retention_days=7),
        Stage(name="prod", keep_data=True, log_retention_days=90),
    )
}
