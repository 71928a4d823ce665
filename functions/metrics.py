"""Metrics: lines on standard output that CloudWatch Logs makes metrics of, so that nothing is called or waited for.

The format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
It is written by hand, as importing Powertools' Metrics takes a tenth of a second of each cold start.

CloudWatch bills each name as a metric, and each name with an error code as another one, for the hours in which they
have values: there are the names below, and as many more as there are codes that jobs fail with.
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
_settings = {"namespace": "ComfyUIGateway"}  # what a process that is not told otherwise writes into


class Metric(StrEnum):
    """All there are."""

    JOBS_ACCEPTED = "JobsAccepted"
    JOBS_STARTED = "JobsStarted"
    JOBS_SUCCEEDED = "JobsSucceeded"
    JOBS_FAILED = "JobsFailed"  # all in all, and by error code
    JOBS_CANCELED = "JobsCanceled"
    CACHE_HITS = "CacheHits"
    QUEUE_WAIT = "QueueWait"
    RUN_TIME = "RunTime"
    EXECUTORS_HEALTHY = "ExecutorsHealthy"  # those whose ComfyUI answers
    EXECUTORS_BUSY = "ExecutorsBusy"
    WEBHOOK_ATTEMPTS = "WebhookAttempts"
    WEBHOOK_ATTEMPTS_FAILED = "WebhookAttemptsFailed"
    REQUESTS_RATE_LIMITED = "RequestsRateLimited"
    REQUESTS_UNAUTHORIZED = "RequestsUnauthorized"


_UNITS = {Metric.QUEUE_WAIT: "Milliseconds", Metric.RUN_TIME: "Milliseconds"}  # others: Count


def use_namespace(name: str) -> None:
    """Write into this namespace of CloudWatch from now on: those of two deployments must not be one."""
    _settings["namespace"] = name


def emit(values: Mapping[Metric, int | Sequence[int]], *, error_code: str | None = None) -> None:
    """Write one line. A sequence is several values of its metric, a hundred at most.

    With an error code the values count twice: under this code, and without any.
    """
    dimensions = {} if error_code is None else {_ERROR_CODE: error_code}
    directive = {
        "Namespace": _settings["namespace"],
        "Dimensions": [[], [_ERROR_CODE]] if dimensions else [[]],
        "Metrics": [{"Name": metric, "Unit": _UNITS.get(metric, "Count")} for metric in values],
    }
    about = {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}}
    sys.stdout.write(json.dumps({**about, **dimensions, **values}, separators=(",", ":")) + "\n")
