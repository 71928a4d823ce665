"""Validation of a stage's options."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.settings import ApiSettings, ExecutorSettings
from infra.stage import STAGES, Stage

USUAL: dict[str, Any] = {"name": "trial", "keep_data": False, "log_retention_days": 7}


def test_dev_and_prod_exist() -> None:
    """Their names are the values of `-c stage=`."""
    assert {"dev", "prod"} <= STAGES.keys()
    assert STAGES["prod"].keep_data
    assert not STAGES["dev"].keep_data


@pytest.mark.parametrize(
    ("invalid", "message"),
    [
        ({"name": "Prod"}, "should match pattern"),
        ({"log_retention_days": 8}, "must be one of 1, 3, 5"),
        ({"setings": {}}, "Extra inputs are not permitted"),
        ({"settings": {"RATE_LIMIT": "5"}}, "RATE_LIMIT: unknown setting"),
        ({"settings": {"RATE_LIMIT_MAX": "many"}}, "RATE_LIMIT_MAX: .*whole number"),
        ({"settings": {"TABLE_NAME": "t"}}, "TABLE_NAME: the deployment sets it"),
        ({"settings": {"JWT_SECRET": "x" * 40}}, "JWT_SECRET: a secret"),
        ({"settings": {"OPEN_ACCESS": "true"}}, "OPEN_ACCESS: for local mode only"),
        ({"settings": {"S3_BUCKET": "mine"}}, "S3_BUCKET: for local mode only"),
        ({"settings": {"METRICS_NAMESPACE": "Mine"}}, "METRICS_NAMESPACE: the deployment sets it"),
        ({"executors": {"instance_types": ("t3.micro",)}}, "executors.instance_types.0\n.*match pattern"),
        ({"executors": {"instance_types": ("g5.12xlarge",)}}, "executors.instance_types.0\n.*match pattern"),
        ({"domain": {"name": "https://a.example", "certificate_arn": "arn:aws:acm:x"}}, "should match pattern"),
        ({"alarm_email": "ops"}, "should match pattern"),
        ({"executors": {"models_volume": "nfs"}}, "should be 's3' or 'efs'"),
    ],
)
def test_an_invalid_option_is_named(invalid: dict[str, Any], message: str) -> None:
    """Before the synthesis starts."""
    with pytest.raises(ValidationError, match=message) as raised:
        Stage(**{**USUAL, **invalid})
    assert not re.search("x" * 40, "; ".join(error["msg"] for error in raised.value.errors()))


def test_settings_go_to_the_hosts_that_read_them() -> None:
    """Functions do not get settings of the executor, and executors no rate limit."""
    stage = Stage(**USUAL, settings={"RATE_LIMIT_MAX": "5", "COMFYUI_TIMEOUT_MS": "9000", "RETENTION_DAYS": "7"})
    assert stage.settings_of(ApiSettings) == {"RATE_LIMIT_MAX": "5", "RETENTION_DAYS": "7"}
    assert stage.settings_of(ExecutorSettings) == {"COMFYUI_TIMEOUT_MS": "9000", "RETENTION_DAYS": "7"}
    assert stage.retention_days == 7
