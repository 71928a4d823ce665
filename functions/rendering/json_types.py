"""JSON values that have a name of their own, because several schemas use them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Instant = Annotated[str, Field(description="RFC 3339, UTC, milliseconds.", json_schema_extra={"format": "date-time"})]
JobId = Annotated[str, Field(description="The job's id.", json_schema_extra={"format": "uuid"})]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256, in hex.")]
