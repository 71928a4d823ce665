"""The stages that the tests synthesize: `dev`, one with every option, and one with models on S3."""

from __future__ import annotations

import infra.stage
from infra.stage import Domain, Executors, Stage

EXECUTORS = Executors(
    executor_image="123456789012.dkr.ecr.eu-central-1.amazonaws.com/gateway/executor:1",
    comfyui_image="ghcr.io/example/comfyui:1",
    models_bucket="models-of-example",
    models_volume="efs",
    most=3,
)
EVERYTHING = Stage(
    name="everything",
    keep_data=True,
    log_retention_days=30,
    settings={"CORS_ORIGINS": "https://app.example.com", "RETENTION_DAYS": "10", "COMFYUI_TIMEOUT_MS": "1000"},
    jwt=True,
    domain=Domain(
        name="images.example.com",
        certificate_arn="arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012",
    ),
    waf_requests_per_address=2000,
    snap_start=True,
    executors=EXECUTORS,
    alarm_email="ops@example.com",
)
MODELS_ON_S3 = Stage(
    name="models-on-s3",
    keep_data=False,
    log_retention_days=7,
    executors=EXECUTORS.model_copy(update={"models_volume": "s3"}),
)
STAGES = {stage.name: stage for stage in (infra.stage.STAGES["dev"], EVERYTHING, MODELS_ON_S3)}
