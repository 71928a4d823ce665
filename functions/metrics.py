"""Metrics: lines on standard output from which CloudWatch Logs extracts metrics, so no request waits for a call.

The format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
It is written here and not with Powertools' Metrics, which needs two lines where one line can have both sets of
dimensions: with and without the error code.

CloudWatch bills each name as a metric, and each name with an error code as another one, for the hours in which they
have values: the names below, and one more for each error code of failed jobs.
"""

from __future__ import annotations

import json
import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ERROR_CODE = "ErrorCode"
_settings = {"namespace": "ComfyUIGateway"}  # until use_namespace is called


class Metric(StrEnum):
    """The names of all metrics."""

    JOBS_ACCEPTED = "JobsAccepted"
    JOBS_STARTED = "JobsStarted"
    JOBS_SUCCEEDED = "JobsSucceeded"
    JOBS_FAILED = "JobsFailed"  # in total, and by error code
    JOBS_CANCELED = "JobsCanceled"
    CACHE_HITS = "CacheHits"
    QUEUE_WAIT = "QueueWait"
    RUN_TIME = "RunTime"
    EXECUTORS_HEALTHY = "ExecutorsHealthy"  # those whose ComfyUI is reachable
    EXECUTORS_BUSY = "ExecutorsBusy"
    WEBHOOK_ATTEMPTS = "WebhookAttempts"
    WEBHOOK_ATTEMPTS_FAILED = "WebhookAttemptsFailed"
    REQUESTS_RATE_LIMITED = "RequestsRateLimited"
    REQUESTS_UNAUTHORIZED = "RequestsUnauthorized"


_UNITS = {Metric.QUEUE_WAIT: "Milliseconds", Metric.RUN_TIME: "Milliseconds"}  # others: Count


def use_namespace(name: str) -> None:
    """Write into this CloudWatch namespace from now on. Each deployment has its own."""
    _settings["namespace"] = name


def emit(values: Mapping[Metric, int | Sequence[int]], *, error_code: str | None = None) -> None:
    """Write one line. A sequence is several values of its metric, at most a hundred.

    With an error code the values count twice: under this code, and in total.
    """
    dimensions = {} if error_code is None else {_ERROR_CODE: error_code}
    directive = {
        "Namespace": _settings["namespace"],
        "Dimensions": [[], [_ERROR_CODE]] if dimensions else [[]],
        "Metrics": [{"Name": metric, "Unit": _UNITS.get(metric, "Count")} for metric in values],
    }
    about = {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}}
    sys.stdout.write(json.dumps({**about, **dimensions, **values}, separators=(",", ":")) + "\n")
