"""Use cases of existing jobs: visibility, waiting, canceling, listing, logs, outputs and deliveries."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from functions.use_cases.cancel_job import cancel_job
from functions.use_cases.deliveries import list_deliveries, redeliver_webhook
from functions.use_cases.get_job import get_job
from functions.use_cases.job_log import read_job_log
from functions.use_cases.list_jobs import list_jobs
from functions.use_cases.outputs import find_output, read_output
from functions.use_cases.wait_for_job import wait_for_job
from gateway.domain.delivery import AttemptResult, DeliveryStatus
from gateway.domain.job import JobFailure, JobStatus, LogLevel, LogLine, ended_event_id, new_job_id
from gateway.domain.job_filter import JobFilter
from gateway.errors import JobNotFoundError, OutputNotFoundError, StateConflictError
from tests.use_cases.environment import ADA, ADMIN, BOB, CALLBACK_URL, OUTPUT, Environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.domain.job import Job
    from gateway.domain.principal import Principal
    from testing.ports import InMemoryPorts


JOB_ID = "0b7f4f52-6d0f-4f0e-a6a8-3c8c1b7cf001"


def test_a_job_is_visible_to_its_owner_and_to_admins(env: Environment) -> None:
    """For other users, the error is the same as for an unknown job."""
    job = env.job()
    assert get_job(env.ports.jobs, ADA, job.id) == get_job(env.ports.jobs, ADMIN, job.id) == job
    with pytest.raises(JobNotFoundError) as others:
        get_job(env.ports.jobs, BOB, job.id)
    missing = new_job_id()
    with pytest.raises(JobNotFoundError) as none:
        get_job(env.ports.jobs, BOB, missing)
    assert others.value.message.replace(job.id, "") == none.value.message.replace(missing, "")


@pytest.mark.parametrize("job_id", ["", "x", "JOB#1", f"../{JOB_ID}", JOB_ID.upper(), f"{JOB_ID}\n"])
def test_an_invalid_job_id_is_not_read(env: Environment, job_id: str) -> None:
    """An invalid id is not found, and is not read from the store."""
    with pytest.raises(JobNotFoundError):
        get_job(env.ports.jobs, ADMIN, job_id)


@pytest.mark.parametrize(
    "use_case",
    [
        lambda env, job_id: wait_for_job(env.ports.jobs, env.clock, BOB, job_id, seconds=5),
        lambda env, job_id: cancel_job(env.ports.jobs, env.ports.events, env.clock, BOB, job_id),
        lambda env, job_id: read_job_log(env.ports.jobs, BOB, job_id),
        lambda env, job_id: find_output(env.ports.jobs, BOB, job_id, "a.png"),
        lambda env, job_id: list_deliveries(env.ports.jobs, env.clock, BOB, job_id),
        lambda env, job_id: redeliver_webhook(env.ports.jobs, env.ports.deliveries, env.ports.webhooks, BOB, job_id),
    ],
    ids=["wait", "cancel", "log", "output", "deliveries", "redeliver"],
)
def test_every_use_case_hides_other_owners_jobs(
    env: Environment, use_case: Callable[[Environment, str], object]
) -> None:
    """The job is not found, and nothing changes."""
    job = env.finish(env.job(callback_url=CALLBACK_URL))
    with pytest.raises(JobNotFoundError):
        use_case(env, job.id)
    assert env.ports.jobs.get(job.id) == job
    assert not env.ports.events.published


def test_waiting_ends_with_the_job(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting ends soon after the job: late by at most a fifth of the elapsed time."""
    job = env.job()
    sleep, ended_after = env.clock.sleep, 10.0

    def finish_during_sleep(seconds: float) -> None:
        sleep(seconds)
        stored = env.ports.jobs.get(job.id)
        if stored and not stored.status.ended and env.clock.monotonic() >= ended_after:
            env.finish(job)

    monkeypatch.setattr(env.clock, "sleep", finish_during_sleep)
    found = wait_for_job(env.ports.jobs, env.clock, ADA, job.id, seconds=25)
    assert found.status is JobStatus.SUCCEEDED
    assert env.clock.monotonic() <= 1.2 * ended_after


def test_waiting_is_limited(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the wait, the job is returned unended, with about 30 reads."""
    job, reads = env.job(), Counter[str]()
    get = env.ports.jobs.get

    def counted(job_id: str) -> Job | None:
        reads[job_id] += 1
        return get(job_id)

    monkeypatch.setattr(env.ports.jobs, "get", counted)
    assert wait_for_job(env.ports.jobs, env.clock, ADA, job.id, seconds=25) == job
    assert env.clock.monotonic() == pytest.approx(25)
    assert reads.total() < 50


def test_a_wait_of_zero_is_one_read(env: Environment) -> None:
    """A wait of zero is one read without delay."""
    job = env.job()
    assert wait_for_job(env.ports.jobs, env.clock, ADA, job.id, seconds=0) == job
    assert env.clock.monotonic() == 0


def test_a_queued_job_is_canceled_at_once(env: Environment) -> None:
    """The event is published by the cancellation, not when an executor receives the message."""
    job = cancel_job(env.ports.jobs, env.ports.events, env.clock, ADA, env.job().id)
    assert (job.status, job.completed_at) == (JobStatus.CANCELED, env.clock.now())
    assert [event.event_id for event in env.ports.events.published] == [ended_event_id(job.id)]


def test_a_running_job_gets_a_cancel_request(env: Environment) -> None:
    """A running job gets a cancel request; its executor ends it and publishes the event."""
    running = env.claim(env.job())
    job = cancel_job(env.ports.jobs, env.ports.events, env.clock, ADA, running.id)
    assert (job.status, job.cancel_requested) == (JobStatus.RUNNING, True)
    assert not env.ports.events.published


def test_an_ended_job_cannot_be_canceled(env: Environment) -> None:
    """Canceling an ended job is a conflict and changes nothing."""
    job = env.finish(env.job())
    with pytest.raises(StateConflictError):
        cancel_job(env.ports.jobs, env.ports.events, env.clock, ADA, job.id)
    assert env.ports.jobs.get(job.id) == job


@pytest.mark.parametrize(("caller", "owners"), [(ADA, ["ada"]), (BOB, ["bob"]), (ADMIN, ["bob", "ada"])])
def test_a_list_contains_the_jobs_visible_to_the_caller(env: Environment, caller: Principal, owners: list[str]) -> None:
    """Lists are newest first; a user gets its own jobs, even if the filter names another owner."""
    for owner in ("ada", "bob"):
        env.job(owner=owner)
        env.clock.advance(1)
    page = list_jobs(env.ports.job_list, caller, JobFilter(), limit=10, position=None)
    assert [job.owner for job in page.jobs] == owners
    foreign = list_jobs(env.ports.job_list, caller, JobFilter(owner="ada"), limit=10, position=None)
    assert [job.owner for job in foreign.jobs] == [owner for owner in owners if owner == "ada" or caller == BOB]


def test_a_list_has_pages(env: Environment) -> None:
    """Every job is on exactly one page."""
    jobs = []
    for _ in range(5):
        jobs.append(env.job().id)
        env.clock.advance(1)
    found: list[str] = []
    position = None
    while True:
        page = list_jobs(env.ports.job_list, ADA, JobFilter(), limit=2, position=position)
        found += [job.id for job in page.jobs]
        position = page.next_page_position
        if position is None:
            break
    assert found == jobs[::-1]


def log_of(ports: InMemoryPorts, job: Job) -> list[tuple[LogLevel, str]]:
    """Return a job's log lines without times."""
    return [(line.level, line.message) for line in read_job_log(ports.jobs, ADA, job.id)]


def test_a_log_contains_the_lines_of_the_executor(env: Environment, ports: InMemoryPorts) -> None:
    """The executor's lines are between acceptance and outcome."""
    line = LogLine(at=env.clock.now(), level=LogLevel.WARNING, message="Slow.")
    accepted = env.job()
    assert len(log_of(ports, accepted)) == 1
    job = env.finish(accepted, log=(line,))
    first, middle, last = log_of(ports, job)
    assert (first[0], middle, last[0]) == (LogLevel.INFO, (LogLevel.WARNING, "Slow."), LogLevel.INFO)
    assert "1.2 s" in last[1]


def test_a_log_ends_with_the_error(env: Environment, ports: InMemoryPorts) -> None:
    """The last line of a failed job has the error code and message."""
    failure = JobFailure(code="COMFYUI_OOM", message="Too large.", retryable=False)
    job = env.finish(env.job(), status=JobStatus.FAILED, outputs=None, error=failure)
    level, message = log_of(ports, job)[-1]
    assert level is LogLevel.ERROR
    assert "COMFYUI_OOM" in message
    assert "Too large." in message


def test_an_output_is_found_by_any_given_name(env: Environment) -> None:
    """An output is found by its decoded or its encoded name."""
    job = env.finish(env.job(), outputs=(replace(OUTPUT, filename="a b.png"),))
    assert find_output(env.ports.jobs, ADA, job.id, "a b.png", "a%20b.png").key == OUTPUT.key
    for names in (["b.png"], ["../a b.png"], []):
        with pytest.raises(OutputNotFoundError):
            find_output(env.ports.jobs, ADA, job.id, *names)


def test_a_missing_object_is_not_found(env: Environment) -> None:
    """An output whose object is missing is not found; otherwise its bytes are returned."""
    job = env.finish(env.job())
    with pytest.raises(OutputNotFoundError):
        read_output(env.ports.objects, job.id, OUTPUT)
    env.ports.objects.put(OUTPUT.key, b"png", content_type="image/png")
    assert read_output(env.ports.objects, job.id, OUTPUT) == b"png"


def test_a_webhook_can_be_redelivered(env: Environment, ports: InMemoryPorts) -> None:
    """After a redelivery request, the delivery is pending and a message with the same event id is queued."""
    job = env.finish(env.job(callback_url=CALLBACK_URL))
    started_at = env.clock.now()
    delivery = ports.deliveries.begin(job.id, now=started_at, last=True).delivery.begun(started_at)
    result = AttemptResult(duration_ms=5, status_code=500, error="Responded 500.")
    ports.deliveries.record(job.id, delivery.ended(result, started_at, started_at, retry_seconds=None, message_id="m"))
    (attempt,) = list_deliveries(ports.jobs, env.clock, ADA, job.id)
    assert (attempt.number, attempt.status_code) == (1, 500)
    assert redeliver_webhook(ports.jobs, ports.deliveries, ports.webhooks, ADA, job.id).id == job.id
    assert get_job(ports.jobs, ADA, job.id).delivery.status is DeliveryStatus.PENDING
    message = ports.webhooks.queue.receive()
    assert message
    assert ended_event_id(job.id) in message.body


@pytest.mark.parametrize("fields", [{"callback_url": None}, {"callback_url": CALLBACK_URL}])
def test_a_job_without_a_webhook_cannot_be_redelivered(env: Environment, fields: dict[str, str | None]) -> None:
    """A job without a callback URL, or one that has not ended, cannot be redelivered."""
    job = env.job(**fields)
    ended = env.finish(job) if job.callback_url is None else job
    with pytest.raises(StateConflictError):
        redeliver_webhook(env.ports.jobs, env.ports.deliveries, env.ports.webhooks, ADA, ended.id)
    assert env.ports.webhooks.queue.visible() == 0


def test_an_interrupted_attempt_is_listed(env: Environment) -> None:
    """If the sending function stopped, its attempt is listed without a result after the timeout."""
    job = env.finish(env.job(callback_url=CALLBACK_URL))
    env.ports.deliveries.begin(job.id, now=env.clock.now(), last=False)
    env.clock.advance(timedelta(minutes=5).total_seconds())
    (attempt,) = list_deliveries(env.ports.jobs, env.clock, ADA, job.id)
    assert (attempt.status_code, attempt.duration_ms) == (None, None)
    assert attempt.error
