"""The gateway's HTTP API, as the commands use it."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cli.exit_codes import CommandFailedError, ExitCode
from cli.http_client import HttpClient, part
from functions.api import responses
from functions.rendering.job_json import JobJson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cli.connection import Connection

_SUBMIT_TRIES = 3
_TRY_AGAIN_SECONDS = 1.0


class GatewayApi:
    """A gateway. Every method raises CommandFailedError, with the exit code that fits."""

    def __init__(self, connection: Connection) -> None:
        self._http = HttpClient(connection)
        self.url = connection.url
        self.signs_in = bool(connection.headers)

    @property
    def clock_ahead_seconds(self) -> float | None:
        """How far the gateway's clock is before this machine's, by its last answer; None when it does not tell."""
        return self._http.clock_ahead_seconds

    def health(self) -> responses.HealthJson:
        """GET /health."""
        return self._http.answer("GET", "/health", responses.HealthJson)

    def capabilities(self) -> responses.CapabilitiesJson:
        """GET /capabilities."""
        return self._http.answer("GET", "/capabilities", responses.CapabilitiesJson)

    def workflows(self) -> responses.WorkflowListJson:
        """GET /workflows."""
        return self._http.answer("GET", "/workflows", responses.WorkflowListJson)

    def workflow(self, workflow_id: str) -> responses.WorkflowJson:
        """GET /workflows/{id}."""
        return self._http.answer("GET", f"/workflows/{part(workflow_id)}", responses.WorkflowAnswerJson)["workflow"]

    def create_workflow(self, body: Mapping[str, Any]) -> responses.WorkflowJson:
        """POST /workflows."""
        return self._http.answer("POST", "/workflows", responses.WorkflowAnswerJson, body=body)["workflow"]

    def change_workflow(self, workflow_id: str, body: Mapping[str, Any]) -> responses.WorkflowJson:
        """PUT /workflows/{id}."""
        path = f"/workflows/{part(workflow_id)}"
        return self._http.answer("PUT", path, responses.WorkflowAnswerJson, body=body)["workflow"]

    def remove_workflow(self, workflow_id: str) -> None:
        """DELETE /workflows/{id}."""
        self._http.content(self._http.request("DELETE", f"/workflows/{part(workflow_id)}"))

    def submit(self, body: Mapping[str, Any], idempotency_key: str) -> str:
        """POST /jobs; return the job's id. A request that got no answer is sent again: it is the same job."""
        headers = {"Idempotency-Key": idempotency_key}
        for attempt in range(1, _SUBMIT_TRIES + 1):
            try:
                response = self._http.request("POST", "/jobs", body=body, headers=headers)
                shape = (
                    responses.JobFromCacheJson if response.status_code == HTTPStatus.OK else responses.JobAcceptedJson
                )
                answer: Mapping[str, Any] = self._http.parsed(response, shape)
                return str(answer["jobId"])
            except CommandFailedError as error:
                if error.code is not ExitCode.UNREACHABLE or attempt == _SUBMIT_TRIES:
                    raise
                time.sleep(_TRY_AGAIN_SECONDS)
        raise AssertionError("The last try returns or raises.")

    def job(self, job_id: str, *, wait_seconds: int = 0) -> JobJson:
        """GET /jobs/{id}; `wait_seconds`: how long the answer may be held until the job ends, 25 at most."""
        query = {"wait": wait_seconds} if wait_seconds else {}
        return self._http.answer("GET", f"/jobs/{part(job_id)}", JobJson, query=query)

    def jobs(self, query: Mapping[str, str | int]) -> responses.JobListJson:
        """GET /jobs."""
        return self._http.answer("GET", "/jobs", responses.JobListJson, query=query)

    def log(self, job_id: str) -> responses.JobLogJson:
        """GET /jobs/{id}/logs."""
        return self._http.answer("GET", f"/jobs/{part(job_id)}/logs", responses.JobLogJson)

    def cancel(self, job_id: str) -> responses.CancelAnswerJson:
        """POST /jobs/{id}/cancel."""
        return self._http.answer("POST", f"/jobs/{part(job_id)}/cancel", responses.CancelAnswerJson)

    def deliveries(self, job_id: str) -> responses.DeliveryListJson:
        """GET /jobs/{id}/deliveries."""
        return self._http.answer("GET", f"/jobs/{part(job_id)}/deliveries", responses.DeliveryListJson)

    def deliver_again(self, job_id: str) -> responses.DeliveryRequestedJson:
        """POST /jobs/{id}/deliveries."""
        return self._http.answer("POST", f"/jobs/{part(job_id)}/deliveries", responses.DeliveryRequestedJson)

    def try_webhook(self, url: str) -> responses.WebhookTestResultJson:
        """POST /webhooks/test."""
        return self._http.answer("POST", "/webhooks/test", responses.WebhookTestResultJson, body={"url": url})

    def audit(self) -> responses.AuditListJson:
        """GET /audit, the newest entry of it."""
        return self._http.answer("GET", "/audit", responses.AuditListJson, query={"limit": 1})

    def file(self, job_id: str, filename: str) -> Iterator[bytes]:
        """GET /outputs/{id}/{file}, piece by piece."""
        return self._http.pieces(f"/outputs/{part(job_id)}/{part(filename)}")
