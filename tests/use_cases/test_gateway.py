"""Use cases of the gateway: health, capabilities, statistics, the audit log, and test webhooks."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from functions.use_cases.audit_log import read_audit_log
from functions.use_cases.capabilities import get_capabilities
from functions.use_cases.health import get_health
from functions.use_cases.job_statistics import get_job_statistics
from functions.use_cases.sample_webhook import send_sample_webhook
from functions.webhooks.signing import Signer
from gateway.domain.delivery import AttemptResult
from gateway.domain.executor import HEARTBEAT_MAX_AGE, Heartbeat
from gateway.domain.job import JobStatus
from gateway.domain.job_counts import DailyJobCounts
from gateway.domain.model_files import CHECKPOINTS, ModelFolder
from gateway.errors import CallbackRefusedError, RequestInvalidError
from tests.use_cases.environment import ADA, ADMIN, BY, CALLBACK_URL, Environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testing.ports import InMemoryPorts


def add_executor(env: Environment, executor_id: str, *, reachable: bool = True, models: Sequence[str] = ()) -> None:
    """Store an executor's heartbeat and its checkpoints."""
    expires_at = env.clock.now() + timedelta(days=1)
    heartbeat = Heartbeat(
        id=executor_id,
        version="1",
        last_seen_at=env.clock.now(),
        jobs=1,
        waiting=0,
        current_job_id="current-job",
        comfyui_url=f"http://{executor_id}:8188",
        comfyui_reachable=reachable,
    )
    env.ports.executors.put_heartbeat(heartbeat, expires_at=expires_at)
    folders = {CHECKPOINTS: ModelFolder(count=len(models), names=tuple(models))} if models else {}
    env.ports.executors.put_models(executor_id, folders, expires_at=expires_at)


def test_the_reachability_of_comfyui_is_public(env: Environment, ports: InMemoryPorts) -> None:
    """Without a caller, only the reachability is returned; an executor without recent heartbeats is ignored."""
    assert not get_health(ports.executors, env.clock, None).comfyui_reachable
    add_executor(env, "gpu-1")
    health = get_health(ports.executors, env.clock, None)
    assert (health.comfyui_reachable, health.fleet) == (True, None)
    env.clock.advance(HEARTBEAT_MAX_AGE.total_seconds() + 1)
    assert not get_health(ports.executors, env.clock, None).comfyui_reachable


def test_only_admins_see_current_job_ids(env: Environment, ports: InMemoryPorts) -> None:
    """A user gets the executors without the ids of current jobs."""
    add_executor(env, "gpu-1", reachable=False, models=["gone.safetensors"])
    add_executor(env, "gpu-2", models=["a.safetensors"])
    seen = {caller: get_health(ports.executors, env.clock, caller).fleet for caller in (ADA, ADMIN)}
    for fleet in seen.values():
        assert fleet is not None
        assert (fleet.comfyui_url, fleet.checkpoints) == ("http://gpu-2:8188", ("a.safetensors",))
        assert [executor.heartbeat.id for executor in fleet.executors] == ["gpu-1", "gpu-2"]
    jobs = {
        caller: {executor.heartbeat.current_job_id for executor in fleet.executors} if fleet else set()
        for caller, fleet in seen.items()
    }
    assert jobs == {ADA: {None}, ADMIN: {"current-job"}}


def test_capabilities_are_those_of_reachable_executors(env: Environment, ports: InMemoryPorts) -> None:
    """Capabilities are the workflows and the merged models of executors with a reachable ComfyUI."""
    add_executor(env, "gpu-1", models=["a.safetensors"])
    add_executor(env, "gpu-2", models=["b.safetensors"])
    add_executor(env, "gpu-3", reachable=False, models=["c.safetensors"])
    capabilities = get_capabilities(ports.workflows, ports.executors, env.clock)
    assert [head.id for head in capabilities.workflows] == ["w"]
    assert capabilities.models[CHECKPOINTS].names == ("a.safetensors", "b.safetensors")
    assert "png" in capabilities.formats


def test_statistics_cover_the_retention_time(env: Environment, ports: InMemoryPorts) -> None:
    """Statistics start with the first day of the retention time; older days are ignored."""
    today = env.clock.now().date()
    for days_ago in (0, 7, 8):
        counts = DailyJobCounts({JobStatus.QUEUED: 1})
        ports.job_counts.add({today - timedelta(days=days_ago): counts}, batch_id=str(days_ago))
    recent = get_job_statistics(ports.job_counts, env.clock, retention_days=7)
    assert recent.statistics.by_status[JobStatus.QUEUED] == 2
    assert recent.since.date() == today - timedelta(days=7)
    assert (recent.since.hour, recent.since.minute) == (0, 0)


def test_the_audit_log_has_pages(env: Environment, ports: InMemoryPorts) -> None:
    """Pages are newest first, and each entry is on one page."""
    for _ in range(4):
        env.clock.advance(1)
        head = ports.workflows.head("w")
        assert head
        ports.workflows.update(head, "W", "", ports.workflows.template(head.template_key), BY)
    first = read_audit_log(ports.audit, limit=3, position=None)
    second = read_audit_log(ports.audit, limit=3, position=first.next_page_position)
    assert (len(first.entries), len(second.entries), second.next_page_position) == (3, 2, None)
    times = [entry.position.at for entry in (*first.entries, *second.entries)]
    assert times == sorted(times, reverse=True)


class FakeSender:
    """Records what is sent; rejects all URLs except one."""

    def __init__(self, result: AttemptResult) -> None:
        self._result = result
        self.sent: list[tuple[bytes, Mapping[str, str]]] = []

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> AttemptResult:
        """Record a request, and return the given result."""
        if url != CALLBACK_URL:
            raise CallbackRefusedError("Not allowed.")
        self.sent.append((body, headers))
        return self._result


def test_a_test_webhook_is_signed_for_its_caller(env: Environment) -> None:
    """Each test webhook has a new id and the event name `webhook.test`."""
    sender: Any = FakeSender(AttemptResult(duration_ms=5, status_code=204))
    signer = Signer(["a secret"], per_owner=True, renewals={})
    samples = [send_sample_webhook(signer, sender, env.clock, ADA, CALLBACK_URL) for _ in range(2)]
    assert {sample.result.status_code for sample in samples} == {204}
    assert len({sample.webhook_id for sample in samples}) == 2
    body, headers = sender.sent[0]
    assert json.loads(body)["event"] == "webhook.test"
    assert headers == signer.headers(ADA.owner, samples[0].webhook_id, int(env.clock.now().timestamp()), body)


def test_a_test_webhook_to_a_forbidden_url_is_rejected(env: Environment) -> None:
    """A test webhook to a forbidden URL, or without a secret, is an error of the field `url`."""
    sender: Any = FakeSender(AttemptResult(duration_ms=5, status_code=204))
    signer = Signer(["a secret"], per_owner=False, renewals={})
    for attempt in ((signer, "http://127.0.0.1/"), (None, CALLBACK_URL)):
        with pytest.raises(RequestInvalidError) as caught:
            send_sample_webhook(attempt[0], sender, env.clock, ADA, attempt[1])
        assert [problem.path for problem in caught.value.problems] == ["url"]
    assert sender.sent == []
