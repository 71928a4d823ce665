"""Job ids can be shortened, as in git."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.conftest import assert_refused, run
from tests.webhooks.receiver import Behavior, Receiver, responds
from tools.api_docs import examples

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST, SECOND, OTHER = (f"{start}-6a57-4b0e-9d5c-0c6a1f7d2b11" for start in ("3f0c5f8e", "3f0c77aa", "aabbccdd"))


def returns(body: Mapping[str, Any]) -> Behavior:
    """Return JSON."""
    return responds(200, "Content-Type: application/json", body=json.dumps(body).encode())


def page(*ids: str, cursor: str | None = None) -> Behavior:
    """Return a page of jobs with these ids."""
    jobs = [{**examples.JOB_SUCCEEDED, "jobId": each} for each in ids]
    return returns({"jobs": jobs, "count": len(jobs), "nextCursor": cursor})


def shown(text: str, *behaviors: Behavior) -> tuple[Any, list[str]]:
    """Show a job by a text; return the result and the paths of the requests."""
    with Receiver(*behaviors, returns(examples.JOB_SUCCEEDED)) as receiver:
        result = run("jobs", "show", text, "--url", f"http://127.0.0.1:{receiver.port}")
        return result, [request.line.split()[1] for request in receiver.received]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("text", ["3f0c5", "3F0C5F8E", "3f0c5f8e-6a57"])
def test_a_prefix_selects_a_job(text: str) -> None:
    """Upper case as well, and with dashes."""
    result, paths = shown(text, page(FIRST, SECOND, OTHER))
    assert (result.exit_code, paths[-1]) == (0, f"/jobs/{FIRST}")


@pytest.mark.usefixtures("home")
def test_a_whole_id_is_not_looked_up() -> None:
    """Nor is a text that is no prefix of an id."""
    for text in (FIRST, "not-an-id"):
        assert shown(text)[1] == [f"/jobs/{text}"]


@pytest.mark.usefixtures("home")
def test_an_ambiguous_prefix_lists_the_candidates() -> None:
    """Exit code 2: more characters are needed."""
    assert_refused(shown("3f0c", page(FIRST, OTHER, cursor="more"), page(SECOND))[0], 2, FIRST, SECOND)


@pytest.mark.usefixtures("home")
def test_pages_are_searched_up_to_a_limit() -> None:
    """The cost does not grow with the table. A prefix as lists show it needs no page after its match."""
    more = page(OTHER, cursor="more")
    result, paths = shown("3f0c5", more, more, more, more, more, more)
    assert_refused(result, 5, "3f0c5")
    assert len(paths) == 5
    assert len(shown("aabbccdd", more)[1]) == 2


@pytest.mark.usefixtures("home")
def test_three_characters_are_not_enough() -> None:
    """The error says how many are, without a request."""
    result = run("jobs", "show", "a71", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert "at least 4 characters" in result.stderr
