"""Which function answers which path. The deployment and the local front both route by this table."""

from __future__ import annotations

# By the path's first segment; API Gateway routes `/jobs` and `/jobs/{proxy+}` alike.
FUNCTION_OF_SEGMENT = {
    "jobs": "jobs",
    "workflows": "workflows",
    "capabilities": "workflows",
    "audit": "audit",
    "stats": "stats",
    "outputs": "outputs",
    "webhooks": "webhook_check",
    "openapi.json": "docs",
    "docs": "docs",
}
# Everything else, so that an unknown path is answered in the API's own words.
DEFAULT_FUNCTION = "health"


def function_for(path: str) -> str:
    """Name the function that answers a path; its handler is `functions.<name>.handler`."""
    segment = path.lstrip("/").split("/", 1)[0]
    return FUNCTION_OF_SEGMENT.get(segment, DEFAULT_FUNCTION)
