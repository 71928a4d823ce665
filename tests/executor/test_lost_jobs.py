"""Jobs whose executors die, and messages that no executor can use: each comes to one end, and nothing is left over."""

from __future__ import annotations

import json
import os
import sys
import threading
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.local.background.function import LocalFunction
from cli.local.background.queue_source import QueueSource
from cli.local.child import Child
from functions.background import Background
from functions.dead_letters import make_handler
from gateway.aws.clients import Clients
from gateway.aws.resources import DEAD_LETTERS, EVENT_SOURCE, JOB_QUEUES
from gateway.domain.job import JobStatus, Priority, ended_event_id
from gateway.settings import BackgroundSettings
from tests.executor.stage import Stage, picture, sleeping, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cli.comfyui_simulator.server import SimulatorServer

ROOT = Path(__file__).parents[2]
KILLS = 2
HIDDEN_SECONDS = "1"  # what is in nobody's hands comes back quickly


@pytest.fixture
def heard(stage: Stage) -> str:
    """Let all ends of jobs go into a queue; give its URL."""
    events, sqs, bus = stage.clients.events, stage.clients.sqs, stage.environment["EVENT_BUS_NAME"]
    url = sqs.create_queue(QueueName=f"{bus}-heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=f"{bus}-all", EventBusName=bus, EventPattern=json.dumps({"source": [EVENT_SOURCE]}))
    events.put_targets(Rule=f"{bus}-all", EventBusName=bus, Targets=[{"Id": "heard", "Arn": arn}])
    return url


def events_of(stage: Stage, heard: str, job_id: str) -> set[tuple[str, str]]:
    """Take what was heard of a job: event ids and statuses."""
    found = set()
    while messages := stage.clients.sqs.receive_message(QueueUrl=heard, MaxNumberOfMessages=10).get("Messages"):
        details = [json.loads(message["Body"])["detail"] for message in messages]
        found |= {(detail["eventId"], detail["status"]) for detail in details if detail["jobId"] == job_id}
    return found


def dead_letter_url(stage: Stage, priority: Priority = Priority.NORMAL) -> str:
    """Name a dead-letter queue."""
    return stage.environment[f"{priority.upper()}_DEAD_LETTER_QUEUE_URL"]


def dead_letters_left(stage: Stage) -> int:
    """Count the messages in the dead-letter queues, those in somebody's hands included."""
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    queues = [dead_letter_url(stage, priority) for priority in Priority]
    answers = [stage.clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names) for url in queues]
    return sum(int(count) for answer in answers for count in answer["Attributes"].values())


def shorten(stage: Stage, *, max_receives: int = JOB_QUEUES[Priority.NORMAL].max_receives) -> None:
    """Let messages come back after a second, and become dead letters after being received so often."""
    sqs, url = stage.clients.sqs, stage.environment["NORMAL_QUEUE_URL"]
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    redrive = json.dumps({**json.loads(policy), "maxReceiveCount": max_receives})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": HIDDEN_SECONDS, "RedrivePolicy": redrive})


@contextmanager
def dead_letter_function(stage: Stage) -> Iterator[None]:
    """Let the dead-letter queues start their function."""
    handler = make_handler(Background(BackgroundSettings.from_environment(stage.environment)))
    function, stopping, sqs = LocalFunction(DEAD_LETTERS, handler), threading.Event(), Clients().sqs
    urls = [dead_letter_url(stage, priority) for priority in Priority]
    for url in urls:
        QueueSource(sqs, url, function, 10, stopping).start()
    try:
        yield
    finally:
        stopping.set()
        for url in urls:
            stage.clients.sqs.send_message(QueueUrl=url, MessageBody="wake up")  # or long polls would outlive the test
        function.finish(seconds=5)


def kill_executor_at_work(stage: Stage, simulator: SimulatorServer, job_id: str, folder: Path) -> None:
    """Start an executor as a process, kill it and ComfyUI while they run the job, and let its lease run out."""
    attempt = stage.job(job_id).attempt + 1
    # Without a place for a second job it does not look at the message of its own again, which here comes back at once.
    settings = {"COMFYUI_URL": simulator.url, "LOOK_AHEAD": "0"}
    variables = {**stage.environment, **settings, "PATH": os.defpath, "PYTHONPATH": str(ROOT)}
    log_file = folder / f"executor-{attempt}.log"
    process = Child("executor", [sys.executable, "-m", "executor"], environment=variables, log_file=log_file)
    try:
        wait_until(lambda: stage.job(job_id).progress, f"attempt {attempt} at work: {log_file}")
    finally:
        process.kill()
        process.stop(seconds=5)
        simulator.restart()
    assert stage.job(job_id).attempt == attempt
    stage.clients.dynamodb.update_item(
        TableName=stage.environment["TABLE_NAME"],
        Key={"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "JOB"}},
        UpdateExpression="SET leaseExpiresAt = :now REMOVE progress",
        ExpressionAttributeValues={":now": {"N": "0"}},
    )


def test_a_job_that_its_executors_do_not_survive_ends(
    stage: Stage, simulator: SimulatorServer, heard: str, tmp_path: Path
) -> None:
    """Killed again and again, they are replaced so often, then the next one gives the job up: once, and for good."""
    shorten(stage)
    job_id = stage.accept(sleeping(60.0, steps=600))
    for _ in range(KILLS):
        kill_executor_at_work(stage, simulator, job_id, tmp_path)
    with dead_letter_function(stage), stage.executor(simulator.url, MAX_ATTEMPTS=str(KILLS)):
        job = stage.ended(job_id)
        wait_until(lambda: stage.messages_left() + dead_letters_left(stage) == 0, "empty queues")
    assert (job.status, job.attempt) == (JobStatus.FAILED, KILLS + 1)
    assert job.error is not None
    assert (job.error.code, job.error.message) == ("EXECUTOR_LOST", "Gave up after 2 attempts that broke off.")
    assert events_of(stage, heard, job_id) == {(ended_event_id(job_id), "failed")}


def test_a_job_that_nobody_is_left_to_give_up_ends(
    stage: Stage, simulator: SimulatorServer, heard: str, tmp_path: Path
) -> None:
    """Its message becomes a dead letter, and what reads those fails the job."""
    shorten(stage, max_receives=KILLS)
    job_id = stage.accept(sleeping(60.0, steps=600))
    for _ in range(KILLS):
        kill_executor_at_work(stage, simulator, job_id, tmp_path)
    with dead_letter_function(stage), stage.executor(simulator.url):
        job = stage.ended(job_id)
        wait_until(lambda: stage.messages_left() + dead_letters_left(stage) == 0, "empty queues")
    assert (job.status, job.attempt) == (JobStatus.FAILED, KILLS)
    assert job.error is not None
    assert job.error.code == "EXECUTOR_LOST"
    assert events_of(stage, heard, job_id) == {(ended_event_id(job_id), "failed")}


def test_a_message_that_nobody_can_read_holds_nothing_up(stage: Stage, simulator: SimulatorServer, heard: str) -> None:
    """Jobs behind it run; when it has been tried often enough the job that it names fails, and it is gone."""
    shorten(stage, max_receives=2)
    unread = stage.accept(picture(), priority=Priority.LOW)
    stage.clients.sqs.purge_queue(QueueUrl=stage.environment["LOW_QUEUE_URL"])
    bodies = ["garbage", json.dumps({"version": 99, "jobId": unread}), json.dumps({"jobId": str(uuid.uuid4())})]
    for body in bodies:
        stage.clients.sqs.send_message(QueueUrl=stage.environment["NORMAL_QUEUE_URL"], MessageBody=body)
    with dead_letter_function(stage), stage.executor(simulator.url):
        assert stage.ended(stage.accept(picture())).status is JobStatus.SUCCEEDED
        job = stage.ended(unread)
        wait_until(lambda: stage.messages_left() + dead_letters_left(stage) == 0, "empty queues")
    assert (job.status, job.attempt) == (JobStatus.FAILED, 0)
    assert events_of(stage, heard, unread) == {(ended_event_id(unread), "failed")}


def test_a_dead_letter_of_a_running_job_waits_for_its_end(stage: Stage, simulator: SimulatorServer, heard: str) -> None:
    """It comes again and again and does the job no harm; with the job's end it is gone."""
    stage.clients.sqs.set_queue_attributes(
        QueueUrl=dead_letter_url(stage), Attributes={"VisibilityTimeout": HIDDEN_SECONDS}
    )
    with dead_letter_function(stage), stage.executor(simulator.url):
        job_id = stage.accept(sleeping(3.0))
        wait_until(lambda: stage.job(job_id).status is JobStatus.RUNNING, "a running job")
        stage.clients.sqs.send_message(QueueUrl=dead_letter_url(stage), MessageBody=json.dumps({"jobId": job_id}))
        job = stage.ended(job_id)
        wait_until(lambda: stage.messages_left() + dead_letters_left(stage) == 0, "empty queues")
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert events_of(stage, heard, job_id) == {(ended_event_id(job_id), "succeeded")}


def received(stage: Stage, times: int) -> Sequence[int]:
    """Take the next message and give it back, so many times; return how often it had been received each time."""
    counts = []
    for _ in range(times):
        message = stage.queue.receive(Priority.NORMAL, wait_seconds=2)
        assert message is not None
        counts.append(message.receive_count)
        stage.queue.hide(message, 0)
    return counts


def test_a_job_is_not_worn_out_by_waiting(stage: Stage, simulator: SimulatorServer) -> None:
    """Its message may be received many times, by executors whose ComfyUI is away, say; it still runs, first attempt."""
    job_id = stage.accept(picture())
    assert received(stage, 40)[-1] == 40
    with stage.executor(simulator.url):
        job = stage.ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
