"""Soak test: check that every accepted job ends once while everything is made to fail.

    PYTHONPATH=. python bench/bench_soak.py [MINUTES] [--quick]

Clients submit jobs of all kinds and priorities (some are canceled, some fail, some are equal to earlier ones, some are
sent twice under one idempotency key, half have a webhook) while executors and ComfyUIs are killed, stopped and paused,
and calls to AWS are throttled, fail, lose their connection, or lose their response. Every minute and a half clients and
faults pause, and the invariants are checked on every new job:

- it has ended, exactly once and as its kind allows; there is one event id, and one webhook id if it has a callback URL
- its outputs are those of one attempt, and can be read
- no message remains in any queue or dead-letter queue, and no prompt in a ComfyUI

The API process and the event sources are not killed, and webhook receivers always accept.

Prints a table, writes results/soak.json, and exits with 1 if an invariant is broken.
"""

from __future__ import annotations

import random
import sys
import time
import traceback
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests
from receiver import receiver
from report import arguments, write
from rich.console import Console
from rich.table import Table
from soak_load import Load
from soak_stack import LEASE_SECONDS, SoakStack
from stack import wait_until

from gateway.domain.job import ended_event_id
from testing.aws_faults import STEPS, internal_error, reset, response_lost, throttled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from receiver import ReceivedWebhook
    from soak_load import Accepted

PHASE_SECONDS = 90.0  # the embedded AWS keeps stream records for five minutes
# Calls of the API, the job counts and the webhook delivery, which no executor makes.
_OTHER_STEPS = ("BatchGetItem", "GetItem", "GetObject", "Query", "SendMessage", "TransactWriteItems")
_BETWEEN_FAULTS_SECONDS = (1.0, 4.0)
_END_SECONDS = 180
# How jobs of a kind may end. Too many faults may also end a job, with a retryable error.
_ENDS = {
    "plain": {"succeeded"},
    "slow": {"succeeded"},
    "repeated": {"succeeded"},
    "equal": {"succeeded"},
    "canceled": {"canceled", "succeeded"},
    "broken": {"failed COMFYUI_NODE_ERROR"},
}
_GIVEN_UP = {"failed EXECUTOR_LOST", "failed COMFYUI_UNREACHABLE", "failed COMFYUI_TIMEOUT"}


@dataclass
class Findings:
    """The results of the soak test."""

    ends: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind and end
    faults: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)  # invariants


def break_things(stack: SoakStack, faults: Counter[str], seconds: float) -> None:
    """Inject random faults for some seconds."""

    def fail_aws() -> None:
        fault = random.choice([throttled, internal_error, reset, response_lost])  # noqa: S311  no secret
        for step in random.sample((*STEPS, *_OTHER_STEPS), 3):
            stack.proxy.inject(step, fault, times=random.randint(1, 4))  # noqa: S311  no secret

    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        host = random.choice(stack.hosts)  # noqa: S311  no secret
        kinds: dict[str, Callable[[], None]] = {
            "executor killed": host.kill_executor,
            "executor stopped": host.stop_executor,
            "ComfyUI killed": host.kill_comfyui,
            "ComfyUI paused": host.pause_comfyui,
            "calls to AWS fail": fail_aws,
        }
        name = random.choice(list(kinds))  # noqa: S311  no secret
        kinds[name]()
        faults[name] += 1
        time.sleep(random.uniform(*_BETWEEN_FAULTS_SECONDS))  # noqa: S311  no secret
    stack.proxy.clear_faults()


def check(stack: SoakStack, jobs: Sequence[Accepted], received: Sequence[ReceivedWebhook], findings: Findings) -> None:
    """Wait until all jobs have ended, and check the invariants."""
    try:
        for accepted in jobs:
            _check_end(stack.url, accepted, findings)
        wait_until(lambda: stack.webhooks_left() == 0, "an empty queue of webhooks", _END_SECONDS)
        own = [accepted.job_id for accepted in jobs if not _of_another(stack.url, accepted.job_id)]
        stack.observer.check(*own, lease_seconds=LEASE_SECONDS, comfyui_urls=[host.comfyui_url for host in stack.hosts])
    except (AssertionError, TimeoutError, requests.RequestException) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        findings.broken.append(f"{type(error).__name__}: {error} ({where.line})")
    ids = defaultdict(set)
    for delivery in received:
        ids[delivery.job_id].add(delivery.id)
    for accepted in jobs:
        if ids[accepted.job_id] != ({ended_event_id(accepted.job_id)} if accepted.hooked else set()):
            findings.broken.append(f"{accepted.job_id} has the webhook ids {ids[accepted.job_id]}")


def _check_end(url: str, accepted: Accepted, findings: Findings) -> None:
    wait_until(lambda: _job(url, accepted.job_id)["status"] not in ("queued", "running"), str(accepted), _END_SECONDS)
    job = _job(url, accepted.job_id)
    end = f"failed {job['error']['code']}" if job["error"] else str(job["status"])
    findings.ends[accepted.kind, end] += 1
    if end not in _ENDS[accepted.kind] | _GIVEN_UP:
        findings.broken.append(f"{accepted} ended as {end}")
    if bool(job["outputs"]) != (job["status"] == "succeeded"):
        findings.broken.append(f"{accepted} ended as {end} with the outputs {job['outputs']}")
    for output in job["outputs"] or ():
        if len(requests.get(f"{url}{output['url']}", timeout=30).content) != output["size"]:
            findings.broken.append(f"{output['url']} cannot be read")


def _of_another(url: str, job_id: str) -> bool:
    """Return whether the outputs of a job are those of an earlier one."""
    return bool(_job(url, job_id)["cacheHit"])


def _job(url: str, job_id: str) -> dict[str, Any]:
    response = requests.get(f"{url}/jobs/{job_id}", timeout=30)
    response.raise_for_status()
    job: dict[str, Any] = response.json()
    return job


def main() -> None:
    """Run, check, print, write."""
    parser = arguments()
    parser.add_argument("minutes", nargs="?", type=float, default=10.0)
    given = parser.parse_args()
    if not 0 < given.minutes < float("inf"):
        parser.error("MINUTES: a number above 0")
    seconds = 20.0 if given.quick else given.minutes * 60
    findings = Findings()
    with SoakStack() as stack, receiver() as (hook_url, received):
        load = Load(stack.url, hook_url)
        load.register()
        left = seconds
        while left > 0 and not findings.broken:
            since = len(load.accepted)
            load.start()
            break_things(stack, findings.faults, min(left, PHASE_SECONDS))
            load.stop()
            check(stack, load.accepted[since:], received, findings)
            left -= PHASE_SECONDS
    findings.broken += load.problems
    table = Table("jobs", "ended as", "how many")
    for (kind, end), count in sorted(findings.ends.items()):
        table.add_row(kind, end, str(count))
    Console(width=120).print(table)
    for title, counts in {"faults": findings.faults, "calls to AWS": stack.proxy.request_counts}.items():
        print(f"{title}: " + ", ".join(f"{count} {name}" for name, count in counts.most_common()))
    hooked = sum(accepted.hooked for accepted in load.accepted)
    print(f"{len(load.accepted)} jobs, {load.retries} retried requests, {len(received)} webhooks for {hooked} jobs")
    print("\n".join(["broken:", *findings.broken]) if findings.broken else "every invariant was kept")
    result = {
        "minutes": round(min(seconds, seconds - left) / 60, 2),
        "jobs": len(load.accepted),
        "ends": [{"kind": kind, "end": end, "jobs": count} for (kind, end), count in sorted(findings.ends.items())],
        "faults": dict(findings.faults),
        "webhooks": len(received),
        "broken": findings.broken,
    }
    write("soak", result, quick=given.quick)
    sys.exit(1 if findings.broken else 0)


if __name__ == "__main__":
    main()
