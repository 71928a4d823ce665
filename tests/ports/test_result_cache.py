"""The port ResultCache."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.domain.result_cache import CachedResult
from gateway.domain.workflow import WorkflowTemplate
from tests.component.samples import BY, LATER, NOW, OUTPUT

if TYPE_CHECKING:
    from tests.ports.conftest import Ports

RESULT = CachedResult(job_id="j", outputs=(OUTPUT,))


def test_a_result_is_read_as_it_was_put(ports: Ports) -> None:
    """The last result of a key counts; other keys have none."""
    ports.results.put("k", CachedResult(job_id="old", outputs=()), expires_at=LATER)
    ports.results.put("k", RESULT, expires_at=LATER)
    assert ports.results.find("k", now=NOW) == RESULT
    assert ports.results.find("other", now=NOW) is None


def test_an_expired_result_is_not_used(ports: Ports) -> None:
    """From its expiry on, a result counts as missing, whether or not the store has removed it."""
    ports.results.put("k", RESULT, expires_at=NOW.replace(microsecond=0))
    assert ports.results.find("k", now=NOW.replace(microsecond=0) - timedelta(milliseconds=1)) == RESULT
    assert ports.results.find("k", now=NOW) is None


def test_a_result_is_read_together_with_the_head(ports: Ports) -> None:
    """Either can be missing."""
    template = WorkflowTemplate.register({"1": {"class_type": "A", "inputs": {}}}, None, None)
    assert ports.results.find_with_head("k", "w", now=NOW) == (None, None)
    head = ports.workflows.create("w", "W", "", template, BY)
    assert ports.results.find_with_head("k", "w", now=NOW) == (head, None)
    ports.results.put("k", RESULT, expires_at=LATER)
    assert ports.results.find_with_head("k", "w", now=NOW) == (head, RESULT)
    assert ports.results.find_with_head("k", "other", now=NOW) == (None, RESULT)
