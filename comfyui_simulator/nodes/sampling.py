"""Nodes from the checkpoint to the latent: nothing is generated, but sizes, prompts and seeds are passed on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PIL import Image

from comfyui_simulator.drawing import placeholder, preview
from comfyui_simulator.nodes.node_run import NodeRun, Returned, node


@dataclass(frozen=True)
class Checkpoint:
    """Represents a model, a text encoder or an image decoder: the file that it was loaded from."""

    name: str


@dataclass(frozen=True)
class Conditioning:
    """An encoded text."""

    text: str


@dataclass(frozen=True)
class Sampled:
    """The inputs of a sampler."""

    prompt: str
    seed: int


@dataclass(frozen=True)
class Latent:
    """A batch of latents: the size of its images in pixels, and what the images will be."""

    size: tuple[int, int]
    batch_size: int
    sampled: Sampled | None = None
    encoded: tuple[Image.Image, ...] = ()
    """The images that were encoded into it, unless it was sampled since."""


@node("CheckpointLoaderSimple")
def load_checkpoint(run: NodeRun) -> Returned:
    """Load a checkpoint; the first time takes as long as the settings specify."""
    checkpoint = Checkpoint(run.text("ckpt_name"))
    _make_sure_it_is_loaded(run, checkpoint)
    return Returned((checkpoint, checkpoint, checkpoint))


@node("CLIPTextEncode")
def encode_text(run: NodeRun) -> Returned:
    """Encode a prompt."""
    return Returned((Conditioning(run.text("text")),))


@node("EmptyLatentImage")
def empty_latent(run: NodeRun) -> Returned:
    """Make a latent; its size is rounded down to whole latent pixels of 8 x 8."""
    size = (run.integer("width") // 8 * 8, run.integer("height") // 8 * 8)
    return Returned((Latent(size, run.integer("batch_size")),))


@node("KSampler")
def sample(run: NodeRun) -> Returned:
    """Wait for the duration of `steps` steps."""
    return _sample(run, run.integer("seed"), run.integer("steps"))


@node("KSamplerAdvanced")
def sample_advanced(run: NodeRun) -> Returned:
    """Wait for the duration of the steps from `start_at_step` to `end_at_step`."""
    last = min(run.integer("steps"), run.integer("end_at_step"))
    return _sample(run, run.integer("noise_seed"), max(0, last - run.integer("start_at_step")))


@node("VAEDecode")
def decode(run: NodeRun) -> Returned:
    """Return the encoded images, or placeholders for sampled ones: prompt, seed and size on a color."""
    latent = run.object("samples", Latent)
    if latent.encoded:
        return Returned((list(latent.encoded),))
    images = [_image(latent, index) for index in range(latent.batch_size)]
    return Returned((images,))


@node("VAEEncode")
def encode(run: NodeRun) -> Returned:
    """Keep images as a latent; their size is cut to whole latent pixels of 8 x 8."""
    images = run.images("pixels")
    width, height = (side // 8 * 8 for side in images[0].size)
    left, top = (images[0].width - width) // 2, (images[0].height - height) // 2
    box = (left, top, left + width, top + height)
    encoded = tuple(image.convert("RGB").crop(box) for image in images)
    return Returned((Latent((width, height), len(encoded), encoded=encoded),))


@node("VAEEncodeForInpaint")
def encode_for_inpaint(run: NodeRun) -> Returned:
    """Keep images as a latent; the mask has no effect here."""
    return encode(run)


@node("SetLatentNoiseMask")
def set_noise_mask(run: NodeRun) -> Returned:
    """Return the latent; what the mask protects makes no difference here."""
    return Returned((run.object("samples", Latent),))


@node("LatentUpscale")
def upscale_latent(run: NodeRun) -> Returned:
    """Resize a latent to a size in pixels; a side of 0 keeps the proportions."""
    latent = run.object("samples", Latent)
    width, height = run.integer("width"), run.integer("height")
    if width == height == 0:
        return Returned((latent,))
    if width == 0:
        width = max(64, round(latent.size[0] * height / latent.size[1]))
    elif height == 0:
        height = max(64, round(latent.size[1] * width / latent.size[0]))
    return Returned((_resized(latent, max(64, width) // 8 * 8, max(64, height) // 8 * 8),))


@node("LatentUpscaleBy")
def upscale_latent_by(run: NodeRun) -> Returned:
    """Resize a latent by a factor."""
    latent = run.object("samples", Latent)
    width, height = (round(side // 8 * run.number("scale_by")) * 8 for side in latent.size)
    return Returned((_resized(latent, width, height),))


def _sample(run: NodeRun, seed: int, steps: int) -> Returned:
    latent = run.object("latent_image", Latent)
    positive = run.object("positive", Conditioning)
    _make_sure_it_is_loaded(run, run.object("model", Checkpoint))
    run.machine.gpu.reserve_for_sampling(*latent.size, latent.batch_size)
    for step in range(1, steps + 1):
        run.control.wait(run.machine.settings.seconds_per_step)
        run.control.advance(step, steps, (preview(str(seed), step, steps), "image/jpeg"))
    return Returned((replace(latent, sampled=Sampled(positive.text, seed), encoded=()),))


def _make_sure_it_is_loaded(run: NodeRun, checkpoint: Checkpoint) -> None:
    if run.machine.gpu.load(checkpoint.name):
        run.control.wait(run.machine.settings.model_load_seconds, interruptible=False)


def _image(latent: Latent, index: int) -> Image.Image:
    width, height = latent.size
    if latent.sampled is None:
        return Image.new("RGB", latent.size, (127, 127, 127))
    place = f" #{index + 1} of {latent.batch_size}" if latent.batch_size > 1 else ""
    lines = [latent.sampled.prompt, f"seed {latent.sampled.seed}", f"{width}x{height}{place}"]
    return placeholder(lines, f"{latent.sampled.seed}/{index}" if index else str(latent.sampled.seed), latent.size)


def _resized(latent: Latent, width: int, height: int) -> Latent:
    encoded = tuple(image.resize((width, height)) for image in latent.encoded)
    return replace(latent, size=(width, height), encoded=encoded)
