"""The stages that the tests synthesise: those of the product, and one that has every option."""

from __future__ import annotations

import infra.stage
from infra.stage import Domain, Executors, Stage

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
    executors=Executors(
        executor_image="123456789012.dkr.ecr.eu-central-1.amazonaws.com/gateway/executor:1",
        comfyui_image="ghcr.io/example/comfyui:1",
        models_bucket="models-of-example",
        most=3,
    ),
    alarm_email="ops@example.com",
)
STAGES = {**infra.stage.STAGES, EVERYTHING.name: EVERYTHING}
