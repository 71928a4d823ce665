"""The gateway's HTTP API, as the commands use it."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cli.outcome import CommandFailedError, ExitCode
from cli.transport import Transport, part
from functions import answers, webhook_answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cli.connection import Connection

_SUBMIT_TRIES = 3
_TRY_AGAIN_SECONDS = 1.0


class GatewayApi:
    """A gateway. Every method raises CommandFailedError, with the exit code that fits."""

    def __init__(self, connection: Connection) -> None:
        self._transport = Transport(connection)
        self.url = connection.url
        self.signs_in = bool(connection.headers)

    @property
    def clock_ahead_seconds(self) -> float | None:
        """How far the gateway's clock is before this machine's, by its last answer; None when it does not tell."""
        return self._transport.clock_ahead_seconds

    def health(self) -> answers.Health:
        """GET /health."""
        return self._transport.answer("GET", "/health", answers.Health)

    def capabilities(self) -> answers.Capabilities:
        """GET /capabilities."""
        return self._transport.answer("GET", "/capabilities", answers.Capabilities)

    def workflows(self) -> answers.WorkflowList:
        """GET /workflows."""
        return self._transport.answer("GET", "/workflows", answers.WorkflowList)

    def workflow(self, workflow_id: str) -> answers.Workflow:
        """GET /workflows/{id}."""
        return self._transport.answer("GET", f"/workflows/{part(workflow_id)}", answers.WorkflowAnswer)["workflow"]

    def create_workflow(self, body: Mapping[str, Any]) -> answers.Workflow:
        """POST /workflows."""
        return self._transport.answer("POST", "/workflows", answers.WorkflowAnswer, body=body)["workflow"]

    def change_workflow(self, workflow_id: str, body: Mapping[str, Any]) -> answers.Workflow:
        """PUT /workflows/{id}."""
        path = f"/workflows/{part(workflow_id)}"
        return self._transport.answer("PUT", path, answers.WorkflowAnswer, body=body)["workflow"]

    def remove_workflow(self, workflow_id: str) -> None:
        """DELETE /workflows/{id}."""
        self._transport.content(self._transport.request("DELETE", f"/workflows/{part(workflow_id)}"))

    def submit(self, body: Mapping[str, Any], idempotency_key: str) -> str:
        """POST /jobs; return the job's id. A request that got no answer is sent again: it is the same job."""
        headers = {"Idempotency-Key": idempotency_key}
        for attempt in range(1, _SUBMIT_TRIES + 1):
            try:
                response = self._transport.request("POST", "/jobs", body=body, headers=headers)
                shape = answers.JobFromCache if response.status_code == HTTPStatus.OK else answers.JobAccepted
                answer: Mapping[str, Any] = self._transport.parsed(response, shape)
                return str(answer["jobId"])
            except CommandFailedError as error:
                if error.code is not ExitCode.UNREACHABLE or attempt == _SUBMIT_TRIES:
                    raise
                time.sleep(_TRY_AGAIN_SECONDS)
        raise AssertionError("The last try returns or raises.")

    def job(self, job_id: str, *, wait_seconds: int = 0) -> answers.Job:
        """GET /jobs/{id}; `wait_seconds`: how long the answer may be held until the job ends, 25 at most."""
        query = {"wait": wait_seconds} if wait_seconds else {}
        return self._transport.answer("GET", f"/jobs/{part(job_id)}", answers.Job, query=query)

    def jobs(self, query: Mapping[str, str | int]) -> answers.JobList:
        """GET /jobs."""
        return self._transport.answer("GET", "/jobs", answers.JobList, query=query)

    def log(self, job_id: str) -> answers.JobLog:
        """GET /jobs/{id}/logs."""
        return self._transport.answer("GET", f"/jobs/{part(job_id)}/logs", answers.JobLog)

    def cancel(self, job_id: str) -> answers.CancelAnswer:
        """POST /jobs/{id}/cancel."""
        return self._transport.answer("POST", f"/jobs/{part(job_id)}/cancel", answers.CancelAnswer)

    def deliveries(self, job_id: str) -> webhook_answers.DeliveryList:
        """GET /jobs/{id}/deliveries."""
        return self._transport.answer("GET", f"/jobs/{part(job_id)}/deliveries", webhook_answers.DeliveryList)

    def deliver_again(self, job_id: str) -> webhook_answers.DeliveryRequested:
        """POST /jobs/{id}/deliveries."""
        return self._transport.answer("POST", f"/jobs/{part(job_id)}/deliveries", webhook_answers.DeliveryRequested)

    def try_webhook(self, url: str) -> webhook_answers.WebhookTestResult:
        """POST /webhooks/test."""
        return self._transport.answer("POST", "/webhooks/test", webhook_answers.WebhookTestResult, body={"url": url})

    def audit(self) -> answers.AuditList:
        """GET /audit, the newest entry of it."""
        return self._transport.answer("GET", "/audit", answers.AuditList, query={"limit": 1})

    def file(self, job_id: str, filename: str) -> Iterator[bytes]:
        """GET /outputs/{id}/{file}, piece by piece."""
        return self._transport.pieces(f"/outputs/{part(job_id)}/{part(filename)}")
