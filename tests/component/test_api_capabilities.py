"""`/capabilities`: what a client can ask for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.clock import SYSTEM_CLOCK
from tests.component.api import Gateway, aws_calls
from tests.component.test_api_health import report
from tests.component.workflows import add_workflow

if TYPE_CHECKING:
    from gateway.aws.clients import Clients


def test_capabilities_are_reported(aws: dict[str, str], aws_clients: Clients) -> None:
    """Workflows, the deployment's own limits, and what ComfyUI's save nodes write."""
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


def test_models_that_can_be_used_now_are_reported(gateway: Gateway) -> None:
    """Those of every executor that is there and reaches its ComfyUI, each once."""
    report(gateway, "gpu-1", models={"checkpoints": ["b", "a"], "loras": ["l"]})
    report(gateway, "gpu-2", models={"checkpoints": ["c", "a"]})
    report(gateway, "gpu-3", models={"checkpoints": ["ill"]}, comfyui_reachable=False)
    report(gateway, "gpu-4", models={"vae": ["gone"]}, last_seen_at=SYSTEM_CLOCK.now() - timedelta(hours=1))
    models = gateway.ada.get("/capabilities").json["models"]
    assert models == {"checkpoints": ["a", "b", "c"], "loras": ["l"]}


def test_every_signed_in_caller_reads_them(gateway: Gateway) -> None:
    """Admins and users alike; strangers have to sign in, and other methods are not for this path."""
    assert gateway.admin.get("/capabilities").json == gateway.ada.get("/capabilities").json
    assert (gateway.nobody.get("/capabilities").status, gateway.ada.post("/capabilities").status) == (401, 405)
