"""An API process with test handlers: `echo_api.py FD WORKERS`."""

from __future__ import annotations

import base64
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from gateway.limits import MAX_LAMBDA_PAYLOAD_BYTES
from local.api_main import serve

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

app = APIGatewayRestResolver()


@app.get("/jobs/<name>")
def name_after_a_while(name: str) -> dict[str, Any]:
    """Return parts of the event *after* a pause: a concurrent request in this process would have replaced it."""
    time.sleep(0.02)
    event = app.current_event
    return {
        "route": name,
        "path": event.path,
        "header": event.headers["X-Name"],
        "query": event["queryStringParameters"],
    }


@app.get("/jobs/binary")
def binary() -> Response[bytes]:
    """Return bytes that are not text."""
    return Response(status_code=200, content_type="image/png", body=b"\x89PNG\xff")


def jobs(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Resolve with Powertools, as the real functions do."""
    return app.resolve(event, context)


RESPONSES: dict[str, Any] = {
    "nonsense": "nonsense",
    "large": {"statusCode": 200, "body": "x" * MAX_LAMBDA_PAYLOAD_BYTES},
    "big": {"statusCode": 200, "body": "x" * 5_000_000},
    "split": {"statusCode": 200, "headers": {"X-Key": "a\r\nX-Inner: secret"}},
    "headers": {
        "statusCode": 201,
        "headers": {"X-One": "single", "X-Two": "single"},
        "multiValueHeaders": {"X-Two": ["a", "b"]},
        "body": base64.b64encode(b"\x00\xff").decode(),
        "isBase64Encoded": True,
    },
    "none": {"statusCode": 204},
}


def outputs(event: dict[str, Any], context: LambdaContext) -> Any:  # noqa: ANN401  some responses are invalid on purpose
    """Return or raise what the path selects."""
    name = event["path"].removeprefix("/outputs/")
    if name == "slow":
        time.sleep(20)
    if name == "raises":
        raise RuntimeError("an inner secret")
    if name == "context":
        return {"statusCode": 200, "body": f"{context.function_name} {context.get_remaining_time_in_millis()}"}
    return RESPONSES[name]


def health(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Return the event."""
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(event)}


if __name__ == "__main__":
    serve(
        {"jobs": jobs, "workflows": health, "outputs": outputs, "health": health},
        listener_fd=int(sys.argv[1]),
        workers=int(sys.argv[2]),
        timeout_seconds=1,
    )
