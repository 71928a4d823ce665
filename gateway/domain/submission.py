"""What a caller asks for when it submits a job."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.domain.job import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A request for a job, before it is checked against its workflow."""

    owner: str
    workflow_id: str
    inputs: Mapping[str, Any]
    params: Mapping[str, Any]
    priority: Priority
    metadata: Mapping[str, Any]
    idempotency_key: str | None
    correlation_id: str
    callback_url: str | None

    @property
    def request_hash(self) -> str:
        """Return a hash that is equal for equal requests, whatever the order of their keys."""
        request = [self.workflow_id, self.inputs, self.params, self.priority, self.metadata, self.callback_url]
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
