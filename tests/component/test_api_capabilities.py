"""`GET /capabilities`: workflows, models, limits and formats."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.clock import SYSTEM_CLOCK
from tests.component.api import Gateway, aws_calls
from tests.component.test_api_health import add_executor
from tests.component.workflows import add_workflow

if TYPE_CHECKING:
    from gateway.aws.clients import Clients


def test_capabilities_are_reported(aws: dict[str, str], aws_clients: Clients) -> None:
    """The response has the workflows, the configured limits, and the formats of ComfyUI's save nodes."""
    gateway = Gateway.on_aws(aws, aws_clients, MAX_IMAGE_SIZE="1024", MAX_BATCH_SIZE="2")
    for workflow_id in ("b", "a"):
        add_workflow(gateway, workflow_id)
    gateway.ada.get("/workflows")
    with aws_calls(gateway.clients) as calls:
        response = gateway.ada.get("/capabilities")
    assert calls == ["dynamodb.UpdateItem", *["dynamodb.Query"] * 3]
    assert response.status == 200
    assert response.json == {
        "workflows": [{"id": "a", "name": "W", "description": ""}, {"id": "b", "name": "W", "description": ""}],
        "models": {},
        "maxSize": 1024,
        "maxBatch": 2,
        "formats": ["png", "jpg", "webp", "svg", "webm", "mp4", "flac", "mp3", "opus", "glb", "latent"],
        "storageProvider": "s3",
    }


def test_models_of_reachable_executors_are_listed(gateway: Gateway) -> None:
    """Models of executors with a reachable ComfyUI are merged without duplicates."""
    add_executor(gateway, "gpu-1", models={"checkpoints": ["b", "a"], "loras": ["l"]})
    add_executor(gateway, "gpu-2", models={"checkpoints": ["c", "a"]})
    add_executor(gateway, "gpu-3", models={"checkpoints": ["unreachable"]}, comfyui_reachable=False)
    add_executor(gateway, "gpu-4", models={"vae": ["gone"]}, last_seen_at=SYSTEM_CLOCK.now() - timedelta(hours=1))
    models = gateway.ada.get("/capabilities").json["models"]
    assert models == {"checkpoints": ["a", "b", "c"], "loras": ["l"]}


def test_every_authenticated_caller_can_read_capabilities(gateway: Gateway) -> None:
    """Admins and users get the same response; callers without a key get 401, other methods 405."""
    assert gateway.admin.get("/capabilities").json == gateway.ada.get("/capabilities").json
    assert (gateway.anonymous.get("/capabilities").status, gateway.ada.post("/capabilities").status) == (401, 405)
