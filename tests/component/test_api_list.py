"""`GET /jobs`: pages, filters and cursors, each owner for itself."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.component.api import AwsGateway, aws_calls
from tests.component.workflows import add_workflow, post, run

if TYPE_CHECKING:
    from tests.component.api import Caller, Gateway


def ids(page: Any) -> list[str]:  # noqa: ANN401  JSON
    """Name a page's jobs."""
    return [job["jobId"] for job in page["jobs"]]


def all_pages(caller: Caller, query: str) -> list[list[str]]:
    """Follow the cursors to the end."""
    pages = []
    cursor = ""
    for _ in range(50):
        page = caller.get(f"/jobs?{query}{cursor}").json
        assert page["count"] == len(page["jobs"])
        pages.append(ids(page))
        if page["nextCursor"] is None:
            return pages
        cursor = f"&cursor={quote(page['nextCursor'])}"
    pytest.fail("the list does not end")


def test_pages_hold_every_job_once_newest_first(ada: Caller) -> None:
    """The cursor leads on exactly where the page ended."""
    jobs = [post(ada).json["jobId"] for _ in range(7)]
    pages = all_pages(ada, "limit=3")
    assert [len(page) for page in pages] == [3, 3, 1]
    listed = list(itertools.chain(*pages))
    assert sorted(listed) == sorted(jobs)
    created = [ada.get(f"/jobs/{job_id}").json["timing"]["createdAt"] for job_id in listed]
    assert created == sorted(created, reverse=True)


def test_a_page_that_is_just_full_is_the_last(ada: Caller) -> None:
    """No cursor leads to an empty page."""
    for _ in range(3):
        post(ada)
    assert [len(page) for page in all_pages(ada, "limit=3")] == [3]


def test_a_listed_job_is_reported_as_by_its_own_path(ada: Caller, gateway: Gateway) -> None:
    """One shape for a job wherever it stands, but for the URLs' signatures."""
    job_id = post(ada).json["jobId"]
    run(gateway, job_id, {})
    assert ada.get("/jobs").json["jobs"] == [ada.get(f"/jobs/{job_id}").json]


def test_a_user_sees_its_own_jobs_and_an_admin_all(gateway: Gateway, ada: Caller) -> None:
    """Nobody's cursor shows another's jobs."""
    of_ada = [post(ada).json["jobId"] for _ in range(3)]
    of_bob = [post(gateway.bob).json["jobId"] for _ in range(3)]
    assert sorted(ids(ada.get("/jobs").json)) == sorted(of_ada)
    cursor = quote(ada.get("/jobs?limit=1").json["nextCursor"])
    assert set(ids(gateway.bob.get(f"/jobs?cursor={cursor}").json)) <= set(of_bob)
    assert sorted(itertools.chain(*all_pages(gateway.admin, "limit=2"))) == sorted(of_ada + of_bob)


def test_filters_are_combined(gateway: Gateway, ada: Caller) -> None:
    """By status, workflow and time."""
    add_workflow(gateway, "other")
    done, waiting = post(ada).json["jobId"], post(ada).json["jobId"]
    other = post(ada, workflowId="other").json["jobId"]
    run(gateway, done, {})
    assert ids(ada.get("/jobs?status=succeeded").json) == [done]
    assert sorted(ids(ada.get("/jobs?status=queued").json)) == sorted([waiting, other])
    assert ids(ada.get("/jobs?status=queued&workflowId=w").json) == [waiting]
    created = ada.get(f"/jobs/{other}").json["timing"]["createdAt"]
    assert other in ids(ada.get(f"/jobs?after={created}").json)
    assert other not in ids(ada.get(f"/jobs?before={created}").json)
    assert ids(ada.get("/jobs?after=2100-01-01T00:00:00Z").json) == []
    assert ids(ada.get("/jobs?after=2100-01-01T00:00:00Z&before=2000-01-01T00:00:00Z").json) == []


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("status=done", "status"),
        ("workflowId=../x", "workflowId"),
        ("after=yesterday", "after"),
        ("before=2026-01-31T12:00:00", "before"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=٣", "limit"),
        ("cursor=abc", "cursor"),
        ("cursor=b3RoZXI=", "cursor"),
        ("offset=50", "offset"),
        ("sort=asc", "sort"),
    ],
)
def test_a_wrong_parameter_is_named(ada: Caller, query: str, path: str) -> None:
    """Nothing wrong is silently ignored."""
    response = ada.get(f"/jobs?{quote(query, safe='=&')}")
    assert response.status == 400
    assert [problem["path"] for problem in response.json["details"]["errors"]] == [path]


def test_all_problems_are_reported_at_once(ada: Caller) -> None:
    """Three wrong parameters are three problems."""
    response = ada.get("/jobs?status=x&limit=x&cursor=x")
    assert [problem["path"] for problem in response.json["details"]["errors"]] == ["status", "limit", "cursor"]


def test_older_clients_may_send_the_offset_zero(ada: Caller) -> None:
    """It is what they send for the first page."""
    assert ada.get("/jobs?offset=0&limit=10").status == 200


@pytest.mark.parametrize(("limit", "batches"), [(20, 1), (99, 1), (200, 3)])
def test_a_page_costs_one_query_and_a_batch_a_hundred(
    aws_gateway: AwsGateway, ada: Caller, limit: int, batches: int
) -> None:
    """A user's page reads the index once and its jobs in batches, however many jobs there are."""
    ada.get("/jobs")
    for number in range(3):
        post(ada, metadata={"n": number})
    with aws_calls(aws_gateway.clients) as calls:
        ada.get(f"/jobs?limit={limit}")
    assert calls.count("dynamodb.Query") == 1
    assert 1 <= calls.count("dynamodb.BatchGetItem") <= batches


def test_a_page_costs_the_same_wherever_it_is(aws_gateway: AwsGateway, ada: Caller) -> None:
    """One that begins behind a cursor reads the index once, as the first does."""
    for _ in range(7):
        post(ada)
    cursor = ""
    for _ in range(3):
        with aws_calls(aws_gateway.clients) as calls:
            page = ada.get(f"/jobs?limit=2{cursor}").json
        assert (calls.count("dynamodb.Query"), calls.count("dynamodb.BatchGetItem")) == (1, 1)
        cursor = f"&cursor={quote(page['nextCursor'])}"


def test_a_page_of_large_jobs_is_cut(gateway: Gateway, ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs with many outputs make a shorter page with a cursor, not an answer too large to send."""
    monkeypatch.setattr("functions.api.jobs.MAX_LIST_BYTES", 10_000)
    jobs = [post(ada, inputs={"prompt": "x", "seed": number}).json["jobId"] for number in range(5)]
    for job_id in jobs:
        run(gateway, job_id, {f"{number}.png": b"" for number in range(4)})
    pages = all_pages(ada, "limit=50")
    assert 1 < len(pages) <= len(jobs)
    assert sorted(itertools.chain(*pages)) == sorted(jobs)
