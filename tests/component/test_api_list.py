"""`GET /jobs`: pages, filters, cursors and visibility."""

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
    """Return the ids of a page's jobs."""
    return [job["jobId"] for job in page["jobs"]]


def all_pages(caller: Caller, query: str) -> list[list[str]]:
    """Follow the cursors to the last page; return the ids on each page."""
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


def test_pages_contain_every_job_once_newest_first(ada: Caller) -> None:
    """A cursor continues exactly after the last job of its page."""
    jobs = [post(ada).json["jobId"] for _ in range(7)]
    pages = all_pages(ada, "limit=3")
    assert [len(page) for page in pages] == [3, 3, 1]
    listed = list(itertools.chain(*pages))
    assert sorted(listed) == sorted(jobs)
    created = [ada.get(f"/jobs/{job_id}").json["timing"]["createdAt"] for job_id in listed]
    assert created == sorted(created, reverse=True)


def test_a_full_last_page_has_no_cursor(ada: Caller) -> None:
    """A full last page has no cursor, so no page is empty."""
    for _ in range(3):
        post(ada)
    assert [len(page) for page in all_pages(ada, "limit=3")] == [3]


def test_a_listed_job_equals_the_single_job(ada: Caller, gateway: Gateway) -> None:
    """The list and the job's own path return the same JSON."""
    job_id = post(ada).json["jobId"]
    run(gateway, job_id, {})
    assert ada.get("/jobs").json["jobs"] == [ada.get(f"/jobs/{job_id}").json]


def test_users_see_their_own_jobs_and_admins_all(gateway: Gateway, ada: Caller) -> None:
    """A user sees its own jobs, also with another owner's cursor; an admin sees all."""
    of_ada = [post(ada).json["jobId"] for _ in range(3)]
    of_bob = [post(gateway.bob).json["jobId"] for _ in range(3)]
    assert sorted(ids(ada.get("/jobs").json)) == sorted(of_ada)
    cursor = quote(ada.get("/jobs?limit=1").json["nextCursor"])
    assert set(ids(gateway.bob.get(f"/jobs?cursor={cursor}").json)) <= set(of_bob)
    assert sorted(itertools.chain(*all_pages(gateway.admin, "limit=2"))) == sorted(of_ada + of_bob)


def test_filters_are_combined(gateway: Gateway, ada: Caller) -> None:
    """Filters are status, workflow and time."""
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
def test_an_invalid_parameter_is_400(ada: Caller, query: str, path: str) -> None:
    """An invalid or unknown parameter is 400, and is reported by name."""
    response = ada.get(f"/jobs?{quote(query, safe='=&')}")
    assert response.status == 400
    assert [problem["path"] for problem in response.json["details"]["errors"]] == [path]


def test_all_problems_are_reported_at_once(ada: Caller) -> None:
    """Three invalid parameters are three problems."""
    response = ada.get("/jobs?status=x&limit=x&cursor=x")
    assert [problem["path"] for problem in response.json["details"]["errors"]] == ["status", "limit", "cursor"]


def test_offset_zero_is_accepted(ada: Caller) -> None:
    """Older clients send offset 0 for the first page."""
    assert ada.get("/jobs?offset=0&limit=10").status == 200


@pytest.mark.parametrize(("limit", "batches"), [(20, 1), (99, 1), (200, 3)])
def test_a_page_costs_one_query_and_a_batch_per_hundred_jobs(
    aws_gateway: AwsGateway, ada: Caller, limit: int, batches: int
) -> None:
    """A user's page costs one index query and one batch read per hundred jobs, however many jobs exist."""
    ada.get("/jobs")
    for number in range(3):
        post(ada, metadata={"n": number})
    with aws_calls(aws_gateway.clients) as calls:
        ada.get(f"/jobs?limit={limit}")
    assert calls.count("dynamodb.Query") == 1
    assert 1 <= calls.count("dynamodb.BatchGetItem") <= batches


def test_every_page_costs_the_same(aws_gateway: AwsGateway, ada: Caller) -> None:
    """A page after a cursor costs one query and one batch read, as the first does."""
    for _ in range(7):
        post(ada)
    cursor = ""
    for _ in range(3):
        with aws_calls(aws_gateway.clients) as calls:
            page = ada.get(f"/jobs?limit=2{cursor}").json
        assert (calls.count("dynamodb.Query"), calls.count("dynamodb.BatchGetItem")) == (1, 1)
        cursor = f"&cursor={quote(page['nextCursor'])}"


def test_a_page_of_large_jobs_is_cut(gateway: Gateway, ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """If jobs with many outputs exceed the response limit, the page is shorter and has a cursor."""
    monkeypatch.setattr("functions.api.jobs.MAX_LIST_BYTES", 10_000)
    jobs = [post(ada, inputs={"prompt": "x", "seed": number}).json["jobId"] for number in range(5)]
    for job_id in jobs:
        run(gateway, job_id, {f"{number}.png": b"" for number in range(4)})
    pages = all_pages(ada, "limit=50")
    assert 1 < len(pages) <= len(jobs)
    assert sorted(itertools.chain(*pages)) == sorted(jobs)
