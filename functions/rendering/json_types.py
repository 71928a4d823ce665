"""The JSON scalars that several schemas use."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Instant = Annotated[
    str, Field(description="RFC 3339 timestamp in UTC, with milliseconds.", json_schema_extra={"format": "date-time"})
]
JobId = Annotated[str, Field(description="Id of the job.", json_schema_extra={"format": "uuid"})]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 in hex.")]
