"""Nodes that save or show images and latents."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

from comfyui_simulator.drawing import animated_png_texts, png_bytes, png_texts, webp_texts
from comfyui_simulator.nodes.node_run import NodeRun, Returned, node
from comfyui_simulator.nodes.sampling import Latent
from comfyui_simulator.tensor_text import describe

if TYPE_CHECKING:
    from PIL import Image


@node("SaveImage")
def save_image(run: NodeRun) -> Returned:
    """Save each image as a PNG that contains the prompt."""
    return Returned(ui={"images": _save_pngs(run, run.images("images"), "output", run.text("filename_prefix"), 4)})


@node("PreviewImage")
def preview_image(run: NodeRun) -> Returned:
    """Save each image to the temp directory."""
    return Returned(ui={"images": _save_pngs(run, run.images("images"), "temp", run.temp_prefix, 1)})


@node("MaskPreview")
def mask_preview(run: NodeRun) -> Returned:
    """Save a mask as gray images to the temp directory."""
    images = [mask.convert("RGB") for mask in run.images("mask")]
    return Returned(ui={"images": _save_pngs(run, images, "temp", run.temp_prefix, 1)})


@node("SaveImageWebsocket")
def save_image_websocket(run: NodeRun) -> Returned:
    """Send each image as a PNG over the client's WebSocket; nothing is stored or listed in the outputs."""
    images = run.images("images")
    for index, image in enumerate(images):
        run.control.advance(index, len(images), (png_bytes(image), "image/png"))
    return Returned()


@node("SaveAnimatedWEBP")
def save_animated_webp(run: NodeRun) -> Returned:
    """Save a batch as the frames of one WEBP."""
    frames = run.images("images")
    (file,) = run.machine.files.new_files("output", run.text("filename_prefix"), ".webp", frames[0].size)
    frames[0].copy().save(  # see _save_pngs
        file.path,
        save_all=True,
        append_images=frames[1:],
        duration=int(1000 / run.number("fps")),
        lossless=run.flag("lossless"),
        quality=run.integer("quality"),
        exif=webp_texts(run.metadata),
    )
    return Returned(ui={"images": [file.reference], "animated": (len(frames) != 1,)})


@node("SaveAnimatedPNG")
def save_animated_png(run: NodeRun) -> Returned:
    """Save a batch as the frames of one PNG."""
    frames = run.images("images")
    (file,) = run.machine.files.new_files("output", run.text("filename_prefix"), ".png", frames[0].size)
    frames[0].copy().save(  # see _save_pngs
        file.path,
        save_all=True,
        append_images=frames[1:],
        duration=int(1000 / run.number("fps")),
        compress_level=run.integer("compress_level"),
        pnginfo=animated_png_texts(run.metadata),
    )
    return Returned(ui={"images": [file.reference], "animated": (True,)})


@node("PreviewAny")
def preview_any(run: NodeRun) -> Returned:
    """Show any value as text."""
    source = run.inputs.get("source")
    text = source if isinstance(source, str) else str(describe(source))
    return Returned(ui={"text": (text,)})


@node("SaveLatent")
def save_latent(run: NodeRun) -> Returned:
    """Save a latent in the safetensors format, its values all zero."""
    latent = run.object("samples", Latent)
    (file,) = run.machine.files.new_files("output", run.text("filename_prefix"), ".latent", latent.size)
    shape = [latent.batch_size, 4, latent.size[1] // 8, latent.size[0] // 8]
    content = bytes(4 * shape[0] * shape[1] * shape[2] * shape[3])
    tensor = {"dtype": "F32", "shape": shape, "data_offsets": [0, len(content)]}
    metadata = {"__metadata__": run.metadata} if run.metadata else {}
    header = json.dumps({**metadata, "latent_tensor": tensor}).encode()
    file.path.write_bytes(struct.pack("<Q", len(header)) + header + content)
    return Returned(ui={"latents": [file.reference]})


def _save_pngs(
    run: NodeRun, images: list[Image.Image], kind: str, prefix: str, compress_level: int
) -> list[dict[str, object]]:
    metadata = png_texts(run.metadata)
    files = run.machine.files.new_files(kind, prefix, ".png", images[0].size, len(images))
    for file, image in zip(files, images, strict=True):
        # A copy: a save that fails leaves its metadata on the image, which other prompts would get from the cache.
        image.copy().save(file.path, "PNG", pnginfo=metadata, compress_level=compress_level)
    return [file.reference for file in files]
