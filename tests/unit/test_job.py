"""Jobs: their ids and outputs, who may see them, and API keys."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.domain.job import (
    Job,
    JobStatus,
    Output,
    ended_event_id,
    idempotent_job_id,
    is_job_id,
    new_job_id,
    prompt_id,
)
from gateway.domain.principal import ApiKey, Principal, Role, hash_key

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
_ID = "cbff6dff-535d-415f-8502-9e45569fb984"


def job(**fields: object) -> Job:
    """Make a typical job with these fields."""
    typical: dict[str, object] = {
        "id": "0b7f4f52-6d0f-4f0e-a6a8-3c8c1b7cf001",
        "owner": "ada",
        "workflow_id": "w",
        "workflow_version": 1,
        "template_key": "workflows/w/1.json",
        "inputs": {},
        "correlation_id": "c",
        "created_at": NOW,
    }
    return Job(**{**typical, **fields})  # type: ignore[arg-type]  # the fields are spelled out above


def test_an_idempotency_key_determines_the_job_id() -> None:
    """The same owner and key give the same id, on every machine and in every release."""
    assert idempotent_job_id("ada", "order-1") == idempotent_job_id("ada", "order-1")
    assert idempotent_job_id("ada", "order-1") == "fd124c23-1e09-5a13-ba82-71555008c0be"


names = st.text(max_size=12) | st.text(":123ab", max_size=8)


@given(names, names, names, names)
def test_ids_of_different_owners_or_keys_differ(owner: str, key: str, other_owner: str, other_key: str) -> None:
    """No owner can choose a key that results in the id of another owner's job."""
    assume((owner, key) != (other_owner, other_key))
    assert idempotent_job_id(owner, key) != idempotent_job_id(other_owner, other_key)


def test_new_ids_cannot_be_guessed() -> None:
    """Ids without a key are random."""
    assert len({new_job_id() for _ in range(1000)}) == 1000
    assert uuid.UUID(new_job_id()).version == 4


def test_derived_ids_are_different_canonical_uuids() -> None:
    """A job, the prompt of each attempt, and its event have different ids, all lower-case UUIDs."""
    job_id = idempotent_job_id("ada", "k")
    ids = [job_id, prompt_id(job_id, 1), prompt_id(job_id, 2), ended_event_id(job_id)]
    assert len(set(ids)) == 4
    assert all(str(uuid.UUID(text)) == text for text in ids)
    assert all(is_job_id(text) for text in ids)


@pytest.mark.parametrize("text", ["", "x", "../../etc", _ID.upper(), _ID + "\n", "{" + _ID + "}"])
def test_other_texts_are_not_job_ids(text: str) -> None:
    """Only a lower-case UUID is a job id."""
    assert not is_job_id(text)


def test_all_statuses_but_queued_and_running_are_terminal() -> None:
    """`ended` is false for queued and running, and true for all others."""
    assert {status for status in JobStatus if not status.ended} == {JobStatus.QUEUED, JobStatus.RUNNING}


def test_an_output_is_found_by_its_exact_name_only() -> None:
    """Names are compared as they are, not resolved as paths."""
    output = Output(filename="a/b.png", key="outputs/x/a/b.png", size=1, sha256="0", content_type="image/png")
    with_output = job(outputs=(output,))
    assert with_output.output("a/b.png") is output
    assert [with_output.output(name) for name in ("b.png", "./a/b.png", "A/B.PNG", "", output.key)] == [None] * 5
    assert job().output("a/b.png") is None


def test_a_user_may_see_own_jobs_and_an_admin_all() -> None:
    """A user may not see a job of another owner."""
    assert Principal(owner="ada", role=Role.USER).may_see(job())
    assert Principal(owner="bob", role=Role.ADMIN).may_see(job())
    assert not Principal(owner="bob", role=Role.USER).may_see(job())
    assert not Principal(owner="", role=Role.USER).may_see(job())


def test_a_key_is_usable_until_it_expires() -> None:
    """A key is not usable at its expiry time, nor while it is disabled."""

    def key(**fields: object) -> ApiKey:
        typical = {"sha256": hash_key("k"), "name": "n", "owner": "ada", "role": Role.USER, "created_at": NOW}
        return ApiKey(**{**typical, **fields})  # type: ignore[arg-type]  # the fields are spelled out above

    later = NOW.replace(hour=13)
    assert key().usable(NOW)
    assert key(expires_at=later).usable(NOW)
    assert not key(expires_at=NOW).usable(NOW)
    assert not key(disabled=True, expires_at=later).usable(NOW)


def test_a_key_is_stored_as_its_sha256() -> None:
    """Only the hash is stored, so the hash function must never change."""
    assert hash_key("s3cret") == "1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0"
