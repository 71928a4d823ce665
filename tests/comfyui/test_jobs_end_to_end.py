"""End to end from a client's view: jobs by HTTP, the queue, the executor and ComfyUI, to the downloaded file."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from PIL import Image

if TYPE_CHECKING:
    from tests.comfyui.gateway_process import LabGateway

BUNDLED = Path(__file__).parents[2] / "workflows"
TINY: dict[str, Any] = {"prompt": "a red fox", "width": 64, "height": 64, "steps": 2}

SOLID_COLOR = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 32, "batch_size": 1, "color": "{{color}}"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "solid"}},
}


def lab(class_type: str, **inputs: object) -> dict[str, Any]:
    """Make a graph with a lab node between an empty image and its saving."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 5}},
        "2": {"class_type": class_type, "inputs": {"image": ["1", 0], **inputs}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "lab"}},
    }


@pytest.fixture
def solid_color(gateway: LabGateway) -> str:
    """Register a workflow without models: an image of one color."""
    gateway.register(
        "solid_color", SOLID_COLOR, {"color": {"type": "integer", "required": True, "min": 0, "max": 0xFFFFFF}}
    )
    return "solid_color"


@pytest.mark.parametrize("color", [0x000000, 0x3366CC, 0xFFFFFF])
def test_a_color_is_kept_exactly(gateway: LabGateway, solid_color: str, color: int) -> None:
    """Every pixel of the downloaded file has the color of the input."""
    job = gateway.submit(solid_color, color=color)
    assert job["status"] == "succeeded", job["error"]
    (output,) = job["outputs"]
    content = requests.get(output["downloadUrl"], timeout=10).content
    image = Image.open(io.BytesIO(content)).convert("RGB")
    assert image.size == (64, 32)
    assert image.getcolors() == [(64 * 32, (color >> 16, color >> 8 & 0xFF, color & 0xFF))]
    assert hashlib.sha256(content).hexdigest() == output["sha256"]


def test_a_file_can_be_read_in_every_form(gateway: LabGateway, solid_color: str) -> None:
    """The gateway's path, base64 and a range of the presigned URL return the same bytes."""
    job = gateway.submit(solid_color, color=42)
    (output,) = gateway.call("GET", f"/outputs/{job['jobId']}").json()["files"]
    direct = gateway.call("GET", output["url"])
    assert direct.status_code == 200
    assert direct.headers["Content-Type"] == "image/png"
    assert direct.headers["ETag"] == f'"{output["sha256"]}"'
    as_text = gateway.call("GET", f"{output['url']}?format=base64").json()
    assert base64.b64decode(as_text["data"]) == direct.content
    part = requests.get(output["downloadUrl"], headers={"Range": "bytes=1-3"}, timeout=10)
    assert (part.status_code, part.content) == (206, b"PNG")


@pytest.mark.parametrize("prefix", ["../../x", "a/../../x", "..", "..\\..\\x", "/x"])
def test_a_prefix_stays_in_the_folder_of_its_job(gateway: LabGateway, prefix: str) -> None:
    """Files are saved and stored whatever the prefix says, and nothing is saved beside the folder."""
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 32, "batch_size": 1, "color": 7}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "{{prefix}}"}},
    }
    gateway.register("prefixed", graph, {"prefix": {"type": "string"}})
    job = gateway.submit("prefixed", prefix=prefix)
    assert job["status"] == "succeeded", job["error"]
    name = "x" if prefix.endswith("x") else "output"
    # Another job's file of this name would have taken the first number.
    assert [output["filename"] for output in job["outputs"]] == [f"{name}_00001_.png"]


def test_a_job_loads_the_file_that_has_the_name_now(gateway: LabGateway, comfyui_url: str) -> None:
    """A result of another content of the file is not served again; only listed names can be loaded."""
    name = f"{uuid.uuid4()}.png"
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "{{image}}"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "loaded"}},
    }
    free = {"id": "free", "name": "x", "workflowJson": graph, "inputSchema": {"fields": {"image": {"type": "string"}}}}
    assert gateway.call("POST", "/workflows", json=free).status_code == 400
    gateway.register(name[:8], graph, {"image": {"type": "string", "enum": [name]}})
    colors = []
    for color in ((16, 32, 48), (240, 224, 208)):
        png = io.BytesIO()
        Image.new("RGB", (8, 8), color).save(png, "PNG")
        files = {"image": (name, png.getvalue(), "image/png")}
        requests.post(
            f"{comfyui_url}/upload/image", files=files, data={"overwrite": "1"}, timeout=30
        ).raise_for_status()
        job = gateway.submit(name[:8], image=name)
        assert job["status"] == "succeeded", job["error"]
        content = gateway.call("GET", job["outputs"][0]["url"]).content
        colors.append(Image.open(io.BytesIO(content)).convert("RGB").getpixel((0, 0)))
    assert colors == [(16, 32, 48), (240, 224, 208)]
    escape = {"workflowId": name[:8], "inputs": {"image": f"../input/{name}"}}
    assert gateway.call("POST", "/jobs", json=escape).status_code == 400


def test_another_users_job_does_not_exist(gateway: LabGateway, solid_color: str) -> None:
    """Another user can see neither the job nor its files; an admin can."""
    job = gateway.submit(solid_color, key=gateway.USER_KEY, color=1)
    paths = [f"/jobs/{job['jobId']}", f"/outputs/{job['jobId']}", job["outputs"][0]["url"]]
    assert [gateway.call("GET", path, key=gateway.OTHER_USER_KEY).status_code for path in paths] == [404] * 3
    assert [gateway.call("GET", path, key=gateway.ADMIN_KEY).status_code for path in paths] == [200] * 3


def test_progress_grows_while_a_job_runs(gateway: LabGateway) -> None:
    """Percentages never decrease, and reach 100 at the end."""
    gateway.register("slow", lab("LabSleep", seconds=5, steps=50, interruptible=True, progress=True, salt="{{salt}}"),
                     {"salt": {"type": "integer", "required": True}})  # fmt: skip
    response = gateway.call("POST", "/jobs", json={"workflowId": "slow", "inputs": {"salt": time.time_ns() % 2**40}})
    seen: list[int] = []
    while (job := gateway.call("GET", response.json()["pollUrl"]).json())["status"] in ("queued", "running"):
        seen.append(job["progress"] or 0)
        time.sleep(0.1)
    assert job["status"] == "succeeded", job["error"]
    assert seen == sorted(seen)
    assert any(0 < percent < 100 for percent in seen)
    assert job["progress"] == 100
    assert 5000 <= job["timing"]["executionTimeMs"] < 15000


@pytest.mark.parametrize(
    ("kind", "code"),
    [("ValueError", "COMFYUI_NODE_ERROR"), ("torchOOM", "COMFYUI_OOM"), ("MemoryError", "COMFYUI_OOM")],
)
def test_a_failing_node_is_named(gateway: LabGateway, kind: str, code: str) -> None:
    """The error has its code, names the node, and contains no path of the server."""
    name = f"raises-{kind}"
    gateway.register(name, lab("LabRaise", kind=kind, message="{{message}}"), {"message": {"type": "string"}})
    job = gateway.submit(name, message="cannot read /srv/models/secret.bin")
    assert job["status"] == "failed"
    assert job["error"]["code"] == code
    assert "(LabRaise)" in job["error"]["message"]
    assert "/srv" not in str(job["error"])
    assert job["outputs"] is None


def test_a_rejected_graph_has_a_reason(gateway: LabGateway) -> None:
    """A missing checkpoint fails the job with an error that names the node, and a similar checkpoint."""
    job = gateway.submit("sdxl_realism_v1", **TINY, checkpoint="sdxl_base.safetensors")
    assert job["status"] == "failed"
    assert job["error"]["code"] == "COMFYUI_REJECTED"
    assert '"Checkpoint" (CheckpointLoaderSimple): ckpt_name is "sdxl_base.safetensors"' in job["error"]["message"]
    assert "similar allowed values: sd_xl_base_1.0.safetensors" in job["error"]["message"]
    assert "model" in job["error"]["recommendation"]


def test_values_of_long_lists_are_suggested(gateway: LabGateway) -> None:
    """ComfyUI leaves long lists out of its rejection; they are read from /object_info."""
    graph, schema = (json.loads((BUNDLED / f"sdxl_realism_v1{end}.json").read_text()) for end in ("", ".schema"))
    schema["properties"]["sampler"] = {"type": "string"}
    body = {"id": "any-sampler", "name": "any-sampler", "workflowJson": graph, "inputSchema": schema}
    gateway.call("POST", "/workflows", json=body).raise_for_status()
    job = gateway.submit("any-sampler", **TINY, sampler="euler_ancestrol")
    assert job["error"]["code"] == "COMFYUI_REJECTED"
    assert "not an allowed value; similar allowed values: euler_ancestral" in job["error"]["message"]


def test_the_log_has_the_steps_of_a_job(gateway: LabGateway) -> None:
    """The executor, the loaded models, the nodes, and the stored outputs."""
    job = gateway.submit("sdxl_realism_v1", **TINY)
    messages = [line["message"] for line in gateway.call("GET", f"/jobs/{job['jobId']}/logs").json()["logs"]]
    steps = ["attempt 1", "started", 'node 5 "Sample" (KSampler)', "1 output"]
    indexes = [next(index for index, text in enumerate(messages) if step in text) for step in steps]
    assert indexes == sorted(indexes)
    assert any("Loading a model" in text or "cached results" in text for text in messages)


@pytest.mark.parametrize("workflow_id", ["sdxl_realism_v1", "sprite_transparent_bg", "icon_512"])
def test_the_bundled_workflows_make_images(gateway: LabGateway, workflow_id: str) -> None:
    """Each runs with its defaults except size and steps, draws its seed, and saves an image of the requested size."""
    job = gateway.submit(workflow_id, **TINY)
    assert job["status"] == "succeeded", job["error"]
    assert job["seed"] >= 0
    (output,) = job["outputs"]
    image = Image.open(io.BytesIO(gateway.call("GET", output["url"]).content))
    assert image.size == (64, 64)
    assert ("A" in image.getbands()) == (workflow_id == "sprite_transparent_bg")


def test_a_batch_and_an_upscale(gateway: LabGateway) -> None:
    """Each image of a batch is an output; the icon is upscaled to twice its size."""
    job = gateway.submit("icon_512", **TINY, batch_size=2, upscale=2)
    assert job["status"] == "succeeded", job["error"]
    images = [Image.open(io.BytesIO(gateway.call("GET", output["url"]).content)) for output in job["outputs"]]
    assert [image.size for image in images] == [(128, 128)] * 2


def test_the_same_seed_makes_the_same_image(gateway: LabGateway) -> None:
    """A job can be repeated with the seed that was drawn."""
    first = gateway.submit("sdxl_realism_v1", **TINY)
    # Another owner, who has nothing in the cache.
    again = gateway.submit("sdxl_realism_v1", key=gateway.USER_KEY, **TINY, seed=first["seed"])
    assert not again["cacheHit"]
    pixels = [
        Image.open(io.BytesIO(gateway.call("GET", job["outputs"][0]["url"]).content)).tobytes()
        for job in (first, again)
    ]
    assert pixels[0] == pixels[1]


def test_an_equal_job_is_served_from_the_cache(gateway: LabGateway, solid_color: str) -> None:
    """The same owner gets the files of the first job at once."""
    first = gateway.submit(solid_color, color=77)
    second = gateway.call("POST", "/jobs", json={"workflowId": solid_color, "inputs": {"color": 77}})
    assert (second.status_code, second.json()["status"]) == (200, "cache_hit")
    assert second.json()["outputs"][0]["sha256"] == first["outputs"][0]["sha256"]
    content = gateway.call("GET", second.json()["outputs"][0]["url"]).content
    assert hashlib.sha256(content).hexdigest() == first["outputs"][0]["sha256"]


def test_sixteen_clients_get_their_own_jobs(gateway: LabGateway, solid_color: str) -> None:
    """Responses to concurrent requests are never mixed up."""
    wrong: list[object] = []

    def one(color: int) -> None:
        job = gateway.submit(solid_color, color=color)
        content = gateway.call("GET", job["outputs"][0]["url"]).content
        pixel = Image.open(io.BytesIO(content)).convert("RGB").getpixel((0, 0))
        if pixel != (0, 0, color):
            wrong.append((color, pixel, job))

    clients = [threading.Thread(target=one, args=(color,)) for color in range(100, 116)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert wrong == []


def test_health_shows_little_without_a_key(gateway: LabGateway, comfyui_url: str) -> None:
    """Without a key: the status. With a key: the ComfyUI and its models."""
    stranger = requests.get(f"{gateway.url}/health", timeout=10).json()
    assert stranger["comfyui"] == {"reachable": True}
    assert "executors" not in stranger
    known = gateway.call("GET", "/health").json()
    assert known["comfyui"]["url"] == comfyui_url
    assert "sd_xl_base_1.0.safetensors" in known["comfyui"]["models"]
