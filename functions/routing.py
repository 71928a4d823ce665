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
    "webhooks": "webhook_test",
    "openapi.json": "docs",
    "docs": "docs",
}
# Everything else, so that an unknown path is answered in the API's own words.
DEFAULT_FUNCTION = "health"


def module_of(function: str) -> str:
    """Return the module of a function; its entry point is `handler` there."""
    area = "api" if function in {*FUNCTION_OF_SEGMENT.values(), DEFAULT_FUNCTION} else "events"
    return f"functions.{area}.{function}"


def function_for(path: str) -> str:
    """Return the name of the function that serves a path."""
    segment = path.lstrip("/").split("/", 1)[0]
    return FUNCTION_OF_SEGMENT.get(segment, DEFAULT_FUNCTION)
