"""Metrics: lines in the embedded metric format of CloudWatch, and the values for jobs."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from functions.events.job_metrics import write_job_metrics
from functions.metrics import Metric, emit
from gateway.aws.resources import JOB_CHANGES
from gateway.domain.job import JobStatus
from gateway.domain.job_counts import CountedJob, JobChange

if TYPE_CHECKING:
    import pytest

_NAME = {"type": "string", "minLength": 1, "maxLength": 1024}
_NUMBERS = {
    "anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 100}]
}
# From the specification of the embedded metric format; see functions/metrics.py.
FORMAT = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer", "minimum": 1_700_000_000_000},
                "CloudWatchMetrics": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "additionalProperties": False,
                        "properties": {
                            "Namespace": _NAME,
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {"type": "array", "maxItems": 30, "items": {**_NAME, "maxLength": 250}},
                            },
                            "Metrics": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "additionalProperties": False,
                                    "properties": {"Name": _NAME, "Unit": {"enum": ["Count", "Milliseconds"]}},
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
QUEUED = CountedJob(id="j", correlation_id="c", status=JobStatus.QUEUED, created_at=NOW)
RUNNING = replace(QUEUED, status=JobStatus.RUNNING, started_at=NOW + timedelta(milliseconds=250))


def values_of(line: str) -> dict[str, Any]:
    """Validate a line; return the values that CloudWatch extracts from it, by metric name and error code."""
    fields = json.loads(line)
    jsonschema_rs.validate(FORMAT, fields)
    (directive,) = fields["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "ComfyUIGateway"
    names = [metric["Name"] for metric in directive["Metrics"]]
    dimensions = {name for dimension_set in directive["Dimensions"] for name in dimension_set}
    assert set(fields) == {"_aws", *names, *dimensions}
    assert all(isinstance(fields[name], str) for name in dimensions)
    for metric in directive["Metrics"]:
        jsonschema_rs.validate(_NUMBERS, fields[metric["Name"]])
        assert (metric["Unit"] == "Milliseconds") == (metric["Name"] in ("QueueWait", "RunTime"))
    return {
        " ".join([name, *(fields[dimension] for dimension in dimension_set)]): fields[name]
        for name in names
        for dimension_set in directive["Dimensions"]
    }


def written(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Collect the values of all written lines."""
    found: dict[str, Any] = {}
    for line in capsys.readouterr().out.splitlines():
        values = values_of(line)
        found |= values
    return found


def test_a_line_has_the_current_time(capsys: pytest.CaptureFixture[str]) -> None:
    """In milliseconds since 1970. CloudWatch drops values that are too old."""
    emit({Metric.REQUESTS_RATE_LIMITED: 1})
    line = capsys.readouterr().out
    assert values_of(line) == {"RequestsRateLimited": 1}
    assert abs(json.loads(line)["_aws"]["Timestamp"] / 1000 - time.time()) < 60


def test_job_changes_are_written_once(capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with each wait and run as its own value, so that CloudWatch can calculate percentiles."""
    ended = replace(RUNNING, status=JobStatus.SUCCEEDED, execution_ms=8000)
    changes = [
        *[JobChange(None, QUEUED)] * 3,
        *[JobChange(QUEUED, RUNNING)] * 2,
        JobChange(RUNNING, ended),
        JobChange(RUNNING, replace(ended, status=JobStatus.CANCELED, execution_ms=None)),
        JobChange(QUEUED, replace(QUEUED, status=JobStatus.CANCELED)),
        JobChange(None, replace(QUEUED, status=JobStatus.SUCCEEDED, cache_hit=True)),
    ]
    write_job_metrics(changes)
    assert written(capsys) == {
        "JobsAccepted": 4,
        "JobsStarted": 2,
        "JobsSucceeded": 2,
        "JobsCanceled": 2,
        "CacheHits": 1,
        "QueueWait": [250, 250],
        "RunTime": [8000],
    }


def test_failures_are_counted_in_total_and_by_code(capsys: pytest.CaptureFixture[str]) -> None:
    """The error code is the only dimension; the run time of failed runs is recorded too."""
    failed = replace(RUNNING, status=JobStatus.FAILED, error_code="COMFYUI_OOM", execution_ms=70)
    lost = replace(QUEUED, status=JobStatus.FAILED, error_code="EXECUTOR_LOST")
    write_job_metrics([JobChange(RUNNING, failed), JobChange(RUNNING, failed), JobChange(QUEUED, lost)])
    lines = [values_of(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"RunTime": [70, 70]},
        {"JobsFailed": 2, "JobsFailed COMFYUI_OOM": 2},
        {"JobsFailed": 1, "JobsFailed EXECUTOR_LOST": 1},
    ]


def test_a_deleted_record_writes_no_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    """Its expiry is not a change of the job."""
    write_job_metrics([JobChange(QUEUED, None)])
    assert capsys.readouterr().out == ""


def test_a_full_batch_fits_into_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """CloudWatch silently drops a line with more than a hundred values of a metric."""
    write_job_metrics([JobChange(QUEUED, RUNNING)] * JOB_CHANGES.batch_size)
    assert len(written(capsys)["QueueWait"]) == JOB_CHANGES.batch_size
