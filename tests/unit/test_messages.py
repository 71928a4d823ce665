"""Job messages and events: their format, and compatibility with other releases."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.aws.resources import WEBHOOK_RULE
from gateway.domain.job import JobStatus, Priority
from gateway.domain.messages import JobEndedEvent, JobMessage, message_group

NOW = datetime(2026, 1, 31, 12, 0, 0, 5000, UTC)
values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


@given(st.dictionaries(st.text(), st.dictionaries(st.text(), st.lists(values)), max_size=3), st.sampled_from(Priority))
def test_a_message_round_trips(prompt: dict[str, Any], priority: Priority) -> None:
    """A prompt is received unchanged: nulls, floats, large integers and any Unicode text."""
    message = JobMessage(job_id="j", priority=priority, correlation_id="c", prompt=prompt)
    text = message.model_dump_json(by_alias=True, exclude_none=True)
    assert JobMessage.model_validate_json(text) == message


def test_a_message_is_camel_case_and_versioned() -> None:
    """The field names are fixed, so that another release can read them."""
    message = JobMessage(job_id="j", priority=Priority.LOW, correlation_id="c", prompt_key="prompts/j.json")
    assert message.model_dump(mode="json", by_alias=True, exclude_none=True) == {
        "version": 1,
        "jobId": "j",
        "priority": "low",
        "correlationId": "c",
        "private": False,
        "promptKey": "prompts/j.json",
    }


@pytest.mark.parametrize("fields", [{}, {"prompt": {}, "promptKey": "k"}])
def test_a_message_has_one_prompt(fields: dict[str, Any]) -> None:
    """A message with no prompt, or with two, is invalid."""
    with pytest.raises(ValidationError):
        JobMessage.model_validate({"jobId": "j", "priority": "low", "correlationId": "c", **fields})


def test_messages_of_newer_releases() -> None:
    """An added field is ignored; another version is rejected."""
    fields = {"jobId": "j", "priority": "low", "correlationId": "c", "prompt": {}}
    assert JobMessage.model_validate({**fields, "traceId": "t"}).job_id == "j"
    with pytest.raises(ValidationError):
        JobMessage.model_validate({**fields, "version": 2})


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED])
def test_an_event_round_trips(status: JobStatus) -> None:
    """The detail of an event is parsed unchanged."""
    event = JobEndedEvent(
        event_id="e",
        job_id="j",
        owner="ada",
        workflow_id="w",
        status=status,
        correlation_id="c",
        completed_at=NOW,
    )
    assert JobEndedEvent.model_validate_json(event.model_dump_json(by_alias=True)) == event


@pytest.mark.parametrize("owner", ["ada", "Ада 🦊", "x" * 500])
def test_an_event_has_its_owners_message_group(owner: str) -> None:
    """The webhook rule reads the group from the event, and SQS accepts it for any name of an owner."""
    event = JobEndedEvent(
        event_id="e",
        job_id="j",
        owner=owner,
        workflow_id="w",
        status=JobStatus.FAILED,
        correlation_id="c",
        completed_at=NOW,
    )
    field = WEBHOOK_RULE.group_path.removeprefix(f"{WEBHOOK_RULE.input_path}.")
    group = json.loads(event.model_dump_json(by_alias=True))[field]
    assert re.fullmatch("[0-9a-f]{64}", group)
    assert group == message_group(owner)


def test_the_events_page_has_a_valid_example() -> None:
    """The example in docs/events.md has every field in its published format, and the page documents each."""
    page = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
    example = re.search(r"```json\n(.*?)```", page, flags=re.DOTALL)
    assert example
    fields = json.loads(example[1])
    assert json.loads(JobEndedEvent.model_validate(fields).model_dump_json(by_alias=True)) == fields
    assert all(f"`{name}`" in page for name in fields)
