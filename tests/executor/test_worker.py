from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import requests
from PIL import Image

from gateway.aws.resources import EVENT_SOURCE, JOB_ENDED_DETAIL_TYPE
from gateway.domain.job import JobStatus, ended_event_id, prompt_id
from tests.executor.stage import Stage, picture, sleeping, wait_until

if TYPE_CHECKING:
    from comfyui_simulator.server import SimulatorServer


def queue_of(simulator: SimulatorServer) -> Counter[str]:
    """Count ComfyUI's prompts by state."""
    state = requests.get(f"{simulator.url}/queue", timeout=5).json()
    return Counter({name: len(prompts) for name, prompts in state.items()})


def test_a_job_succeeds_and_leaves_nothing_in_the_queue(stage: Stage, simulator: SimulatorServer) -> None:
    """The file is in the store as ComfyUI made it, the record names it, the message is gone."""
    with stage.executor(simulator.url):
        job = stage.ended(stage.accept(picture(color=0x336699)))
        wait_until(lambda: stage.messages_left() == 0, "an empty queue")
    assert job.status is JobStatus.SUCCEEDED
    assert job.attempt == 1
    assert job.execution_ms is not None
    (output,) = job.outputs or ()
    content = stage.objects.get(output.key)
    assert (output.size, output.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert Image.open(io.BytesIO(content)).convert("RGB").getpixel((5, 5)) == (0x33, 0x66, 0x99)


def test_the_end_of_a_job_is_announced(stage: Stage, simulator: SimulatorServer) -> None:
    """An event with the job's one event id reaches whoever has a rule for it."""
    events, sqs = stage.clients.events, stage.clients.sqs
    bus = stage.environment["EVENT_BUS_NAME"]
    url = sqs.create_queue(QueueName=f"{bus}-heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": [EVENT_SOURCE], "detail-type": [JOB_ENDED_DETAIL_TYPE]}
    events.put_rule(Name=f"{bus}-all", EventBusName=bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=f"{bus}-all", EventBusName=bus, Targets=[{"Id": "heard", "Arn": arn}])
    with stage.executor(simulator.url):
        job_id = stage.accept(picture())
        messages = stage.clients.polling_sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    detail = json.loads(messages[0]["Body"])["detail"]
    assert detail["eventId"] == ended_event_id(job_id)
    assert (detail["jobId"], detail["status"]) == (job_id, "succeeded")


def test_two_messages_run_a_job_once(stage: Stage, simulator: SimulatorServer) -> None:
    """A message that came twice finds the job ended and is taken away."""
    with stage.executor(simulator.url):
        job_id = stage.accept(picture())
        stage.ended(job_id)
        stage.send(job_id, picture())
        wait_until(lambda: stage.messages_left() == 0, "an empty queue")
    assert stage.job(job_id).attempt == 1
    assert len(requests.get(f"{simulator.url}/history", timeout=5).json()) == 1


def test_equal_prompts_share_no_files(stage: Stage, simulator: SimulatorServer) -> None:
    """Two jobs with the same prompt have outputs of their own, under the name that the template gives."""
    with stage.executor(simulator.url):
        jobs = [stage.ended(stage.accept(picture(color=7))) for _ in range(2)]
    assert [output.filename for job in jobs for output in job.outputs or ()] == ["picture_00001_.png"] * 2
    assert jobs[0].outputs != jobs[1].outputs


def test_a_second_prompt_waits_in_comfyui_while_one_runs(stage: Stage, simulator: SimulatorServer) -> None:
    """Under backlog ComfyUI always has the next prompt; a third stays in the gateway's queue."""
    with stage.executor(simulator.url):
        jobs = [stage.accept(sleeping(1.0)) for _ in range(3)]
        wait_until(lambda: queue_of(simulator) == {"queue_running": 1, "queue_pending": 1}, "one more waiting")
        assert sum(stage.job(job_id).status is JobStatus.QUEUED for job_id in jobs) == 1
        assert {stage.ended(job_id).status for job_id in jobs} == {JobStatus.SUCCEEDED}


def test_progress_is_told_while_a_job_runs(stage: Stage, simulator: SimulatorServer) -> None:
    """The lease's renewals carry how far the job is."""
    with stage.executor(simulator.url):
        job_id = stage.accept(sleeping(4.0))
        wait_until(lambda: 0 < (stage.job(job_id).progress or 0) < 100, "progress")
        assert stage.ended(job_id).progress == 100


def test_a_running_job_is_canceled_on_the_gpu_within_two_seconds(stage: Stage, simulator: SimulatorServer) -> None:
    """A cancel that the table carries interrupts the prompt; the next one in the queue goes on unharmed."""
    with stage.executor(simulator.url):
        canceled = stage.accept(sleeping(60.0, steps=600))
        wait_until(lambda: queue_of(simulator)["queue_running"] == 1, "a running prompt")
        other = stage.accept(sleeping(0.2))
        wait_until(lambda: stage.job(canceled).status is JobStatus.RUNNING, "running")
        stage.request_cancel(canceled)
        assert stage.ended(canceled, seconds=3).status is JobStatus.CANCELED
        assert stage.ended(other).status is JobStatus.SUCCEEDED


def test_a_job_waiting_in_comfyui_is_canceled_there(stage: Stage, simulator: SimulatorServer) -> None:
    """The prompt is taken out of ComfyUI's queue; the one that runs is not touched."""
    with stage.executor(simulator.url):
        running = stage.accept(sleeping(4.0))
        wait_until(lambda: queue_of(simulator)["queue_running"] == 1, "a running prompt")
        waiting = stage.accept(sleeping(60.0))
        wait_until(lambda: queue_of(simulator)["queue_pending"] == 1, "a waiting prompt")
        stage.request_cancel(waiting)
        assert stage.ended(waiting, seconds=3).status is JobStatus.CANCELED
        assert stage.ended(running).status is JobStatus.SUCCEEDED


def test_a_failing_node_fails_the_job_at_once(stage: Stage, simulator: SimulatorServer) -> None:
    """The error names the node and says no path; nothing is tried again."""
    prompt = picture()
    prompt["3"] = {"class_type": "LabRaise", "inputs": {"image": ["1", 0], "kind": "ValueError", "message": "boom"}}
    prompt["2"]["inputs"]["images"] = ["3", 0]
    with stage.executor(simulator.url):
        job = stage.ended(stage.accept(prompt))
    assert job.status is JobStatus.FAILED
    assert job.attempt == 1
    assert job.error is not None
    assert job.error.code == "COMFYUI_NODE_ERROR"
    assert job.error.message == "Node 3 (LabRaise) failed with ValueError: boom"


def test_a_prompt_that_comfyui_refuses_fails_the_job(stage: Stage, simulator: SimulatorServer) -> None:
    """The error says which node and input ComfyUI does not like."""
    prompt = picture()
    prompt["1"]["inputs"]["width"] = -5
    with stage.executor(simulator.url):
        job = stage.ended(stage.accept(prompt))
    assert job.error is not None
    assert job.error.code == "COMFYUI_REJECTED"
    assert "node 1 (EmptyImage)" in job.error.message
    assert "width" in job.error.message


def test_a_workflow_that_saves_nothing_fails_with_a_reason(stage: Stage, simulator: SimulatorServer) -> None:
    """A preview is no output."""
    prompt = picture()
    prompt["2"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    with stage.executor(simulator.url):
        job = stage.ended(stage.accept(prompt))
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == ("OUTPUT_ERROR", False)
    assert "SaveImage" in (job.error.recommendation or "")


def test_a_lost_prompt_runs_again(stage: Stage, simulator: SimulatorServer) -> None:
    """A prompt in neither queue nor history is lost: the next attempt brings the job to its end."""
    simulator.faults.lose_prompts = 1
    with stage.executor(simulator.url):
        job = stage.ended(stage.accept(picture()))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


def test_a_job_survives_comfyui_being_killed(stage: Stage, simulator: SimulatorServer) -> None:
    """ComfyUI dies mid-job and comes back empty: the job runs again there."""
    with stage.executor(simulator.url):
        job_id = stage.accept(sleeping(1.5))
        wait_until(lambda: queue_of(simulator)["queue_running"] == 1, "a running prompt")
        simulator.restart()
        job = stage.ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


@pytest.mark.parametrize("fault", ["silent_sockets", "garbage_frames"])
def test_a_job_ends_without_the_socket(stage: Stage, simulator: SimulatorServer, fault: str) -> None:
    """The socket is for progress: history alone brings a job to its end."""
    setattr(simulator.faults, fault, True)
    with stage.executor(simulator.url):
        assert stage.ended(stage.accept(sleeping(0.3))).status is JobStatus.SUCCEEDED


def test_nothing_is_taken_while_comfyui_is_away(stage: Stage, simulator: SimulatorServer) -> None:
    """Jobs stay queued and burn no attempt; they run when ComfyUI is back."""
    simulator.kill()
    job_id = stage.accept(picture())
    with stage.executor(simulator.url):
        wait_until(lambda: _reports(stage), "a report")
        assert stage.job(job_id).status is JobStatus.QUEUED
        simulator.start()
        assert stage.ended(job_id).attempt == 1


def test_a_stopped_executor_gives_its_job_back_at_once(stage: Stage, simulator: SimulatorServer) -> None:
    """Stopping interrupts what does not finish in the grace time; a second executor finishes it without waiting."""
    prompt = sleeping(2.0)
    with stage.executor(simulator.url, grace_seconds=0) as stop:
        job_id = stage.accept(prompt)
        wait_until(lambda: queue_of(simulator)["queue_running"] == 1, "a running prompt")
        stop()
    assert queue_of(simulator) == {"queue_running": 0, "queue_pending": 0}
    assert stage.job(job_id).status is JobStatus.RUNNING
    with stage.executor(simulator.url):
        job = stage.ended(job_id, seconds=10)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


def test_a_stopped_executor_lets_a_short_job_finish(stage: Stage, simulator: SimulatorServer) -> None:
    """What ends within the grace time ends well."""
    with stage.executor(simulator.url, grace_seconds=5) as stop:
        job_id = stage.accept(sleeping(1.0))
        wait_until(lambda: queue_of(simulator)["queue_running"] == 1, "a running prompt")
        stop()
    assert (stage.job(job_id).status, stage.job(job_id).attempt) == (JobStatus.SUCCEEDED, 1)


def test_comfyui_knows_a_job_by_a_canonical_id(stage: Stage, simulator: SimulatorServer) -> None:
    """The prompt runs under the id derived from job and attempt."""
    with stage.executor(simulator.url):
        job_id = stage.accept(picture())
        stage.ended(job_id)
    assert list(requests.get(f"{simulator.url}/history", timeout=5).json()) == [prompt_id(job_id, 1)]


def test_a_job_costs_the_executor_six_calls(
    stage: Stage, simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Receive, claim, upload, terminal write, event, ack; beside the looks at empty queues."""
    calls: Counter[str] = Counter()
    from botocore.client import BaseClient  # noqa: PLC0415  counted here only

    original = BaseClient._make_api_call  # type: ignore[attr-defined]  # the one place all calls pass

    def counted(self: Any, operation: str, arguments: dict[str, Any]) -> Any:  # noqa: ANN401
        answer = original(self, operation, arguments)
        if operation != "ReceiveMessage" or answer.get("Messages"):
            calls[operation] += 1
        return answer

    with stage.executor(simulator.url):
        wait_until(lambda: _reports(stage), "a report")
        monkeypatch.setattr(BaseClient, "_make_api_call", counted)
        job_id = stage.accept(picture())
        wait_until(lambda: calls["DeleteMessage"] == 1, "the ack")
        monkeypatch.undo()
    del calls["SendMessage"]  # the test's own
    assert stage.job(job_id).status is JobStatus.SUCCEEDED
    # The upload is PutObject; accepting put the job by PutItem, and so does a report that falls into the time.
    assert {name: count for name, count in calls.items() if name != "PutItem"} == {
        "ReceiveMessage": 1,
        "UpdateItem": 2,
        "PutObject": 1,
        "PutEvents": 1,
        "DeleteMessage": 1,
    }


def _reports(stage: Stage) -> int:
    answer = stage.clients.dynamodb.query(
        TableName=stage.environment["TABLE_NAME"],
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "EXECUTOR"}},
    )
    return answer["Count"]
