"""Results that can be used again: the same workflow with the same inputs makes the same files."""

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
    """What a job left."""

    job_id: str
    outputs: tuple[Output, ...]


def cache_key(head: WorkflowHead, values: Values, *, owner: str | None, private: bool) -> str:
    """Name what makes a result: the template's version, every input and parameter as run, seed and checkpoint included.

    `owner`: whose results these are; None for results that all owners share. `private`: files of other jobs may have
    names, and texts in them, that a private job was given as well. The version goes with the template's
    key in the store, which no other workflow ever has, not even one that was deleted and made again.
    """
    template = [head.id, head.version, head.template_key]
    made_of = [owner, private, template, _canonical(values.inputs), _canonical(values.params)]
    text = json.dumps(made_of, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(values: Mapping[str, Any]) -> dict[str, Any]:
    """Write equal numbers in one way: 7 and 7.0 ask for the same picture."""
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in values.items()
    }
