"""Deployment test: deploy the synthesized stacks into an AWS that enforces IAM and TLS, run jobs, destroy them."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import requests
from botocore.exceptions import ClientError

from comfyui_simulator import SimulatorServer, SimulatorSettings
from gateway.aws.dynamodb.job_store import DynamoJobStore
from gateway.aws.resources import SCHEDULES
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.messages import JobMessage
from testing.waiting import wait_until
from tests.component.samples import new_job
from tests.infra.assembly import assembly
from tests.infra.cloud import Cloud, Deployed
from tests.webhooks.receiver import Receiver, responds

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)  # every function has its cold start here

WORKFLOW: dict[str, Any] = {
    "id": "solid",
    "name": "One color",
    "workflowJson": {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": "{{color}}"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "solid"}},
    },
    "inputSchema": {"type": "object", "fields": {"color": {"type": "integer", "required": True}}},
}
STEPS_SECONDS = 60


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Deploy the stage `dev`."""
    with Cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud.deploy(assembly("dev"))


def executor_key(deployed: Deployed, user: str) -> dict[str, str]:
    """Create a user with the executor policy of the stack; return an access key."""
    iam = deployed.cloud.client("iam")
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=user)
    iam.attach_user_policy(UserName=user, PolicyArn=deployed.outputs["ExecutorPolicyArn"])
    made = iam.create_access_key(UserName=user)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}


@pytest.fixture(scope="module")
def executor_environment(deployed: Deployed) -> dict[str, str]:
    """Return the environment of an executor outside AWS: the stack's output, and a user with the executor policy."""
    lines = deployed.outputs["Environment"].splitlines()
    key = executor_key(deployed, "gpu-box")
    return {**deployed.cloud.environment(key), **dict(line.split("=", 1) for line in lines)}


@pytest.fixture(scope="module")
def executor(executor_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run `comfyui-gateway worker` with a simulated ComfyUI."""
    fast = SimulatorSettings(seconds_per_step=0.0, history_lag_seconds=(0.0, 0.0))
    log = tmp_path_factory.mktemp("executor") / "log"
    with SimulatorServer(fast) as comfyui, log.open("w") as output:
        environment = {"PATH": os.environ.get("PATH", os.defpath), **executor_environment, "COMFYUI_URL": comfyui.url}
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "worker"], env=environment, stdout=output, stderr=output
        )
        yield
        process.kill()  # a graceful stop is slow, and tested elsewhere
        process.wait()


class Api:
    """A client of the deployed API with an admin key."""

    def __init__(self, deployed: Deployed, key: str) -> None:
        self._key = key
        self._root = deployed.api_url
        self._ca_file = str(deployed.cloud.ca_file)

    def __call__(self, method: str, path: str, body: object = None) -> requests.Response:
        """Send a request to a path of the API, or to a full URL that it returned."""
        url = path if path.startswith("https:") else self._root + path
        headers = {} if path.startswith("https:") else {"X-API-Key": self._key}
        return requests.request(
            method, url, json=body, headers=headers, verify=self._ca_file, timeout=STEPS_SECONDS, allow_redirects=False
        )


@pytest.fixture(scope="module")
def api(deployed: Deployed) -> Api:
    """Create the first key as an operator does: with the name of the stage."""
    command = ["keys", "create", "--stage", "dev", "--name", "root", "--role", "admin"]
    key = subprocess.run(  # noqa: S603  ours
        [sys.executable, "-m", "cli", *command],
        env={"PATH": os.environ.get("PATH", os.defpath), **deployed.cloud.environment()},
        capture_output=True,
        text=True,
        check=True,
        timeout=STEPS_SECONDS,
    ).stdout.strip()
    return Api(deployed, key)


@pytest.fixture(scope="module")
def job(api: Api, executor: None) -> dict[str, Any]:  # noqa: ARG001  it runs the job
    """Register a workflow and run a job."""
    assert api("POST", "/workflows", WORKFLOW).status_code == requests.codes.created
    accepted = api("POST", "/jobs", {"workflowId": "solid", "inputs": {"color": 255}}).json()
    ended: dict[str, Any] = {}

    def has_ended() -> bool:
        ended.update(api("GET", f"/jobs/{accepted['jobId']}?wait=5").json())
        return ended["status"] not in ("queued", "running")

    wait_until(has_ended, "the job ends", STEPS_SECONDS)
    return ended


def test_a_job_runs_from_submission_to_stored_output(api: Api, job: dict[str, Any]) -> None:
    """The image can be downloaded from the API, and from the bucket with the presigned URL."""
    assert job["status"] == "succeeded", job
    (output,) = job["outputs"]
    through_api, from_bucket = api("GET", output["url"]), api("GET", output["downloadUrl"])
    assert through_api.content.startswith(b"\x89PNG")
    assert from_bucket.content == through_api.content


def test_a_web_page_may_follow_a_redirect_to_a_file(deployed: Deployed, job: dict[str, Any]) -> None:
    """After the redirect its origin is null, and its preflight names the header sent to the API. Writes are denied."""
    (output,) = job["outputs"]
    for method, status in (("GET", 200), ("PUT", 403)):
        asked = {
            "Origin": "null",
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "x-api-key",
        }
        response = requests.options(
            output["downloadUrl"], headers=asked, verify=str(deployed.cloud.ca_file), timeout=STEPS_SECONDS
        )
        assert response.status_code == status


REQUESTS = [
    ("GET /health", None, 200),
    ("GET /docs", None, 200),
    ("GET /openapi.json", None, 200),
    ("GET /capabilities", None, 200),
    ("GET /jobs", None, 200),
    ("GET /jobs?status=succeeded", None, 200),
    ("GET /jobs/{job}/logs", None, 200),
    ("POST /jobs/{job}/cancel", None, 409),
    ("GET /outputs/{job}", None, 200),
    ("GET /outputs/{job}/none.png", None, 404),
    ("GET /workflows", None, 200),
    ("PUT /workflows/solid", {"name": "Still one color"}, 200),
    ("POST /jobs", {"workflowId": "solid", "inputs": {"color": 255}}, 202),
    ("DELETE /workflows/solid", None, 204),
    ("GET /workflows/solid", None, 404),
    ("GET /audit", None, 200),
    ("GET /stats", None, 200),
    ("GET /nothing/of/the/kind", None, 404),
]


@pytest.mark.parametrize(("line", "body", "status"), REQUESTS, ids=[line for line, _, _ in REQUESTS])
def test_every_route_has_the_permissions_that_it_needs(
    api: Api, job: dict[str, Any], line: str, body: object, status: int
) -> None:
    """Each deployed function responds with its own role."""
    method, path = line.format(job=job["jobId"]).split()
    response = api(method, path, body)
    assert response.status_code == status, response.text


def test_a_prompt_that_is_too_large_for_its_message_goes_by_the_bucket(api: Api, executor: None) -> None:  # noqa: ARG001
    """The function can store the prompt, and the executor can read it."""
    node = WORKFLOW["workflowJson"]["1"]
    graph = {**{str(number): node for number in range(3, 1500)}, **WORKFLOW["workflowJson"]}
    response = api("POST", "/workflows", {**WORKFLOW, "id": "large", "workflowJson": graph})
    assert response.status_code == requests.codes.created, response.text
    job_id = api("POST", "/jobs", {"workflowId": "large", "inputs": {"color": 3}}).json()["jobId"]
    wait_until(lambda: api("GET", f"/jobs/{job_id}").json()["status"] == "succeeded", "the job succeeds", STEPS_SECONDS)


def test_a_dead_letter_fails_its_job(deployed: Deployed, api: Api) -> None:
    """A job whose message was received too often fails with EXECUTOR_LOST."""
    job = new_job(created_at=SYSTEM_CLOCK.now())
    DynamoJobStore(deployed.cloud.client("dynamodb"), deployed.settings["TABLE_NAME"], retention_days=1).create(job)
    message = JobMessage(job_id=job.id, priority=job.priority, correlation_id=job.correlation_id, prompt={})
    url = deployed.settings["LOW_DEAD_LETTER_QUEUE_URL"]
    deployed.cloud.client("sqs").send_message(QueueUrl=url, MessageBody=message.model_dump_json(by_alias=True))
    wait_until(
        lambda: (api("GET", f"/jobs/{job.id}").json()["error"] or {}).get("code") == "EXECUTOR_LOST",
        "the dead letter is processed",
        STEPS_SECONDS,
    )


def test_a_signed_webhook_is_sent_when_a_job_ends(deployed: Deployed, api: Api, executor: None) -> None:  # noqa: ARG001
    """From the bus through the rule and the queue to the function, signed with the stack's secret."""
    here = {"WEBHOOK_ALLOW_HTTP": "true", "WEBHOOK_ALLOW_LOOPBACK": "true"}  # where the receiver is
    for function in ("jobs", "webhook_delivery", "webhook_test"):
        deployed.configure(function, **here)
    assert api("POST", "/workflows", {**WORKFLOW, "id": "webhook"}).status_code == requests.codes.created
    with Receiver(responds(200)) as receiver:
        body = {"workflowId": "webhook", "inputs": {"color": 7}, "callbackUrl": receiver.url}
        job_id = api("POST", "/jobs", body).json()["jobId"]
        wait_until(lambda: receiver.received, "the webhook arrives", STEPS_SECONDS)
        webhook = receiver.received[0]
        assert api("POST", "/webhooks/test", {"url": receiver.url}).json()["delivered"] is True
    digest = hmac.new(deployed.secret("WEBHOOK_SECRET").encode(), webhook.body, hashlib.sha256).hexdigest()
    assert webhook.headers["x-signature"] == f"sha256={digest}"
    allowed = json.loads(webhook.body)
    assert allowed["jobId"] == job_id
    assert api("GET", allowed["result"]["outputs"][0]["downloadUrl"]).content.startswith(b"\x89PNG")
    assert api("POST", f"/jobs/{job_id}/deliveries").status_code == requests.codes.accepted


def test_scheduled_functions_have_the_permissions_that_they_need(deployed: Deployed) -> None:
    """Each scheduled function succeeds."""
    for schedule in SCHEDULES:
        response = deployed.invoke(schedule.function.name)
        assert "FunctionError" not in response, response["Payload"].read()


def test_deploying_again_changes_nothing(deployed: Deployed) -> None:
    """The same sources produce the same zips and templates."""
    assert "Number of stacks with differences: 0" in deployed.differences()


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("dynamodb", "get_item", {"TableName": "{table}", "Key": {"pk": {"S": "KEY#1"}, "sk": {"S": "KEY"}}}),
        ("dynamodb", "put_item", {"TableName": "{table}", "Item": {"pk": {"S": "KEY#1"}, "sk": {"S": "KEY"}}}),
        ("dynamodb", "delete_item", {"TableName": "{table}", "Key": {"pk": {"S": "JOB#1"}, "sk": {"S": "JOB"}}}),
        ("dynamodb", "scan", {"TableName": "{table}"}),
        ("s3", "get_object", {"Bucket": "{bucket}", "Key": "workflows/solid/1.json"}),
        ("s3", "delete_object", {"Bucket": "{bucket}", "Key": "outputs/1"}),
        ("sqs", "send_message", {"QueueUrl": "{queue}", "MessageBody": "{}"}),
        ("sqs", "purge_queue", {"QueueUrl": "{queue}"}),
    ],
)
def test_an_executor_can_do_nothing_but_run_jobs(
    deployed: Deployed, executor_environment: dict[str, str], service: str, operation: str, arguments: dict[str, Any]
) -> None:
    """Stolen executor credentials cannot create keys, submit jobs or read templates."""
    names = {"table": "TABLE_NAME", "bucket": "BUCKET_NAME", "queue": "HIGH_QUEUE_URL"}
    named = {f"{{{short}}}": executor_environment[name] for short, name in names.items()}
    client = deployed.cloud.client(service, executor_key(deployed, "intruder"))
    with pytest.raises(ClientError, match=r"AccessDenied|not authorized"):
        getattr(client, operation)(**{name: named.get(str(value), value) for name, value in arguments.items()})


def test_no_call_was_refused(deployed: Deployed, job: dict[str, Any]) -> None:  # noqa: ARG001  after it
    """IAM has denied no call of the tests above."""
    refused = [call for call in deployed.cloud.calls() if not call["allowed"] and "intruder" not in call["caller"]]
    assert refused == []


def test_destroying_leaves_nothing(deployed: Deployed, job: dict[str, Any]) -> None:  # noqa: ARG001  it has files
    """`cdk destroy` deletes a stage without `keep_data` once its bucket is empty."""
    client = deployed.cloud.client
    files = client("s3").list_objects_v2(Bucket=deployed.settings["BUCKET_NAME"])["Contents"]
    for file in files:
        client("s3").delete_object(Bucket=deployed.settings["BUCKET_NAME"], Key=file["Key"])
    deployed.destroy()
    assert [stack["StackName"] for stack in client("cloudformation").describe_stacks()["Stacks"]] == ["CDKToolkit"]
    assert client("dynamodb").list_tables()["TableNames"] == []
    assert client("sqs").list_queues().get("QueueUrls", []) == []
    assert client("lambda").list_functions()["Functions"] == []
    assert client("apigateway").get_rest_apis()["items"] == []
    assert client("secretsmanager").list_secrets()["SecretList"] == []
    assert client("sns").list_topics()["Topics"] == []
    assert client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert client("logs").describe_log_groups()["logGroups"] == []
    assert [bus["Name"] for bus in client("events").list_event_buses()["EventBuses"]] == ["default"]
    assert [
        each["Name"] for each in client("s3").list_buckets()["Buckets"] if not each["Name"].startswith("cdk-")
    ] == []
    # The role with which API Gateway writes logs belongs to the account, and remains.
    roles = [
        role["RoleName"] for role in client("iam").list_roles()["Roles"] if not role["RoleName"].startswith("cdk-")
    ]
    assert ["RestApiCloudWatchRole" in role for role in roles] == [True]
