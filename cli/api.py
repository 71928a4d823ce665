"""Client of the gateway's HTTP API: one method per route that the commands use."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cli.exit_codes import CommandFailedError, ExitCode
from cli.http_client import HttpClient, RefusedError, part
from functions.api import responses
from functions.rendering.job_json import JobJson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cli.connection import Connection

PAGE_SIZE = 200  # the most that a gateway lists at once
_MAX_SUBMIT_ATTEMPTS = 3
_SUBMIT_DELAY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class AcceptedJob:
    """A job that the gateway accepted. `eta_seconds`: estimated time to its end; None if unknown or ended."""

    job_id: str
    eta_seconds: int | None = None


class GatewayApi:
    """One gateway. Every method raises CommandFailedError, with the exit code that fits."""

    def __init__(self, connection: Connection, *, timeout_seconds: float | None = None) -> None:
        self._http = HttpClient(connection, timeout_seconds=timeout_seconds)
        self.url = connection.url
        self.has_credentials = bool(connection.headers)

    @property
    def clock_ahead_seconds(self) -> float | None:
        """How far the gateway's clock is ahead of this machine's; None if its last response had no time."""
        return self._http.clock_ahead_seconds

    def health(self) -> responses.HealthJson:
        """GET /health."""
        return self._http.fetch("GET", "/health", responses.HealthJson)

    def capabilities(self) -> responses.CapabilitiesJson:
        """GET /capabilities."""
        return self._http.fetch("GET", "/capabilities", responses.CapabilitiesJson)

    def workflows(self) -> responses.WorkflowListJson:
        """GET /workflows."""
        return self._http.fetch("GET", "/workflows", responses.WorkflowListJson)

    def workflow(self, workflow_id: str) -> responses.WorkflowJson:
        """GET /workflows/{id}."""
        path = f"/workflows/{part(workflow_id)}"
        with _report_missing_workflow(workflow_id):
            return self._http.fetch("GET", path, responses.WorkflowAnswerJson)["workflow"]

    def create_workflow(self, body: Mapping[str, Any]) -> responses.WorkflowJson:
        """POST /workflows."""
        return self._http.fetch("POST", "/workflows", responses.WorkflowAnswerJson, body=body)["workflow"]

    def change_workflow(self, workflow_id: str, body: Mapping[str, Any]) -> responses.WorkflowJson:
        """PUT /workflows/{id}."""
        path = f"/workflows/{part(workflow_id)}"
        with _report_missing_workflow(workflow_id):
            return self._http.fetch("PUT", path, responses.WorkflowAnswerJson, body=body)["workflow"]

    def remove_workflow(self, workflow_id: str) -> None:
        """DELETE /workflows/{id}."""
        with _report_missing_workflow(workflow_id):
            self._http.read(self._http.send("DELETE", f"/workflows/{part(workflow_id)}"))

    def submit(self, body: Mapping[str, Any], idempotency_key: str) -> AcceptedJob:
        """POST /jobs. A request without a response is sent again: with the same key it is the same job."""
        headers = {"Idempotency-Key": idempotency_key}
        for attempt in range(1, _MAX_SUBMIT_ATTEMPTS + 1):
            try:
                with _report_missing_workflow(body["workflowId"]):
                    response = self._http.send("POST", "/jobs", body=body, headers=headers)
                    if response.status_code == HTTPStatus.OK:
                        return AcceptedJob(self._http.parse(response, responses.JobFromCacheJson)["jobId"])
                    accepted = self._http.parse(response, responses.JobAcceptedJson)
                    return AcceptedJob(accepted["jobId"], accepted["etaSeconds"] or None)
            except CommandFailedError as error:
                if error.code is not ExitCode.UNREACHABLE or attempt == _MAX_SUBMIT_ATTEMPTS:
                    raise
                time.sleep(_SUBMIT_DELAY_SECONDS)
        raise AssertionError("The last attempt returns or raises.")

    def job(self, job_id: str, *, wait_seconds: int = 0) -> JobJson:
        """GET /jobs/{id}. With `wait_seconds`, at most 25, the gateway responds when the job ends or the time is up."""
        query = {"wait": wait_seconds} if wait_seconds else {}
        return self._http.fetch("GET", f"/jobs/{part(job_id)}", JobJson, query=query)

    def job_pages(self, query: Mapping[str, str | int], *, limit: int = PAGE_SIZE) -> Iterator[responses.JobListJson]:
        """GET /jobs, page by page. The pages may never end, nor have any jobs: limit their number."""
        page_query = {**query, "limit": min(limit, PAGE_SIZE)}
        while True:
            page = self._http.fetch("GET", "/jobs", responses.JobListJson, query=page_query)
            yield page
            if page["nextCursor"] is None:
                return
            page_query["cursor"] = page["nextCursor"]

    def log(self, job_id: str) -> responses.JobLogJson:
        """GET /jobs/{id}/logs."""
        return self._http.fetch("GET", f"/jobs/{part(job_id)}/logs", responses.JobLogJson)

    def cancel(self, job_id: str) -> responses.CancelAnswerJson:
        """POST /jobs/{id}/cancel."""
        return self._http.fetch("POST", f"/jobs/{part(job_id)}/cancel", responses.CancelAnswerJson)

    def deliveries(self, job_id: str) -> responses.DeliveryListJson:
        """GET /jobs/{id}/deliveries."""
        return self._http.fetch("GET", f"/jobs/{part(job_id)}/deliveries", responses.DeliveryListJson)

    def redeliver(self, job_id: str) -> responses.DeliveryRequestedJson:
        """POST /jobs/{id}/deliveries."""
        return self._http.fetch("POST", f"/jobs/{part(job_id)}/deliveries", responses.DeliveryRequestedJson)

    def test_webhook(self, url: str) -> responses.WebhookTestResultJson:
        """POST /webhooks/test."""
        return self._http.fetch("POST", "/webhooks/test", responses.WebhookTestResultJson, body={"url": url})

    def stats(self) -> responses.StatsJson:
        """GET /stats."""
        return self._http.fetch("GET", "/stats", responses.StatsJson)

    def audit_pages(self, *, limit: int = PAGE_SIZE) -> Iterator[responses.AuditListJson]:
        """GET /audit, page by page. The pages may never end: limit their number."""
        query: dict[str, str | int] = {"limit": min(limit, PAGE_SIZE)}
        while True:
            page = self._http.fetch("GET", "/audit", responses.AuditListJson, query=query)
            yield page
            if page["nextCursor"] is None:
                return
            query["cursor"] = page["nextCursor"]

    def file(self, job_id: str, filename: str) -> Iterator[bytes]:
        """GET /outputs/{id}/{file}, chunk by chunk."""
        return self._http.stream(f"/outputs/{part(job_id)}/{part(filename)}")


@contextmanager
def _report_missing_workflow(workflow_id: str) -> Iterator[None]:
    """Raise CommandFailedError that names the command that lists workflows; the gateway's message names its route."""
    try:
        yield
    except RefusedError as error:
        if error.error_code != "WORKFLOW_NOT_FOUND":
            raise
        raise CommandFailedError(
            f"There is no workflow {workflow_id}", error.code, advice="List them: comfyui-gateway workflows list"
        ) from None
