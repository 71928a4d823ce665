"""`/capabilities`: what a client can ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.component.api import Gateway, aws_calls
from tests.component.workflows import add_workflow

if TYPE_CHECKING:
    from gateway.aws.clients import Clients


def test_capabilities_are_told(aws: dict[str, str], aws_clients: Clients) -> None:
    """Workflows, the deployment's own limits, and what ComfyUI's save nodes write; one call."""
    gateway = Gateway(aws, aws_clients, MAX_IMAGE_SIZE="1024", MAX_BATCH_SIZE="2")
    for workflow_id in ("b", "a"):
        add_workflow(gateway, workflow_id)
    gateway.ada.get("/workflows")
    with aws_calls(gateway.clients) as calls:
        answer = gateway.ada.get("/capabilities")
    assert calls == ["dynamodb.UpdateItem", "dynamodb.Query"]
    assert answer.status == 200
    assert answer.json == {
        "workflows": [{"id": "a", "name": "W", "description": ""}, {"id": "b", "name": "W", "description": ""}],
        "maxSize": 1024,
        "maxBatch": 2,
        "formats": ["png", "jpg", "webp", "svg", "webm", "mp4", "flac", "mp3", "opus", "glb", "latent"],
        "storageProvider": "s3",
    }


def test_every_signed_in_caller_reads_them(gateway: Gateway) -> None:
    """Admins and users alike; strangers have to sign in, and other methods are not for this path."""
    assert gateway.admin.get("/capabilities").json == gateway.ada.get("/capabilities").json
    assert (gateway.nobody.get("/capabilities").status, gateway.ada.post("/capabilities").status) == (401, 405)
