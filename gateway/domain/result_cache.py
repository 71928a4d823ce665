"""Cached results: the same workflow with the same inputs produces the same files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.domain.inputs import Values
    from gateway.domain.job import Output
    from gateway.domain.workflow import WorkflowHead


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedResult:
    """The result of an earlier job."""

    job_id: str
    outputs: tuple[Output, ...]


def cache_key(head: WorkflowHead, values: Values, *, owner: str | None, private: bool) -> str:
    """Return the cache key: a hash of the template's version and of every input and parameter as run.

    `owner`: whose results these are; None for results that all owners share. `private`: private and other jobs share no
    results, since file names and texts in the files of other jobs can contain inputs. The template's key in the bucket
    is part of it: no other workflow ever has it, not even one that was deleted and created again.
    """
    template = [head.id, head.version, head.template_key]
    made_of = [owner, private, template, _canonical(values.inputs), _canonical(values.params)]
    text = json.dumps(made_of, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(values: Mapping[str, Any]) -> dict[str, Any]:
    """Write equal numbers in the same way: 7 and 7.0 produce the same image."""
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in values.items()
    }
