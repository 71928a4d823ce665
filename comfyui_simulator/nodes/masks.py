"""Nodes that create and change masks: gray images in which white is covered."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image, ImageChops

from comfyui_simulator.drawing import inverted
from comfyui_simulator.nodes.node_run import NodeRun, Returned, node

_Combine = Callable[[Image.Image, Image.Image], Image.Image]


def _as_black_or_white(mask: Image.Image) -> Image.Image:
    return mask.point([0] * 128 + [255] * 128)


_OPERATIONS: dict[str, _Combine] = {
    "multiply": ImageChops.multiply,
    "add": ImageChops.add,
    "subtract": ImageChops.subtract,
    "and": lambda a, b: ImageChops.darker(_as_black_or_white(a), _as_black_or_white(b)),
    "or": lambda a, b: ImageChops.lighter(_as_black_or_white(a), _as_black_or_white(b)),
    "xor": lambda a, b: ImageChops.difference(_as_black_or_white(a), _as_black_or_white(b)),
}


@node("SolidMask")
def solid_mask(run: NodeRun) -> Returned:
    """Make a mask of one value from 0 to 1."""
    size = (run.integer("width"), run.integer("height"))
    return Returned(([Image.new("L", size, int(255 * run.number("value")))],))


@node("InvertMask")
def invert_mask(run: NodeRun) -> Returned:
    """Swap what is covered and what is not."""
    return Returned(([inverted(mask) for mask in run.images("mask")],))


@node("MaskToImage")
def mask_to_image(run: NodeRun) -> Returned:
    """Make a gray image of a mask."""
    return Returned(([mask.convert("RGB") for mask in run.images("mask")],))


@node("ImageToMask")
def image_to_mask(run: NodeRun) -> Returned:
    """Use one channel as a mask."""
    channel = run.text("channel")[0].upper()
    return Returned(([image.getchannel(channel) for image in run.images("image")],))


@node("ImageColorToMask")
def color_to_mask(run: NodeRun) -> Returned:
    """Cover exactly the pixels of one color, given as 0xRRGGBB."""
    color = run.integer("color")
    wanted = (color >> 16 & 0xFF, color >> 8 & 0xFF, color & 0xFF)
    masks = []
    for image in run.images("image"):
        bands = [
            band.point([255 if value == want else 0 for value in range(256)])
            for band, want in zip(image.split()[:3], wanted, strict=True)
        ]
        masks.append(ImageChops.darker(ImageChops.darker(bands[0], bands[1]), bands[2]))
    return Returned((masks,))


@node("ThresholdMask")
def threshold_mask(run: NodeRun) -> Returned:
    """Cover what is above a value from 0 to 1, and nothing else."""
    threshold = run.number("value")
    table = [255 if value / 255 > threshold else 0 for value in range(256)]
    return Returned(([mask.point(table) for mask in run.images("mask")],))


@node("CropMask")
def crop_mask(run: NodeRun) -> Returned:
    """Cut a rectangle out."""
    left, top = run.integer("x"), run.integer("y")
    box = (left, top, left + run.integer("width"), top + run.integer("height"))
    return Returned(([mask.crop(box) for mask in run.images("mask")],))


@node("GrowMask")
def grow_mask(run: NodeRun) -> Returned:
    """Grow a mask by a number of pixels, or shrink it by a negative one; tapered corners leave out the diagonals."""
    amount = run.integer("expand")
    tapered = run.flag("tapered_corners")
    combine = ImageChops.lighter if amount >= 0 else ImageChops.darker
    masks = run.images("mask")
    for _ in range(abs(amount)):
        masks = [_spread(mask, combine, tapered=tapered) for mask in masks]
    return Returned((masks,))


@node("FeatherMask")
def feather_mask(run: NodeRun) -> Returned:
    """Fade out a mask towards its edges, over a number of pixels on each side."""
    feathered = []
    for mask in run.images("mask"):
        width, height = mask.size
        columns = _ramp(width, run.integer("left"), run.integer("right"))
        rows = _ramp(height, run.integer("top"), run.integer("bottom"))
        horizontal = Image.new("L", (width, 1))
        horizontal.putdata([int(255 * rate) for rate in columns])
        vertical = Image.new("L", (1, height))
        vertical.putdata([int(255 * rate) for rate in rows])
        faded = ImageChops.multiply(mask, horizontal.resize(mask.size))
        feathered.append(ImageChops.multiply(faded, vertical.resize(mask.size)))
    return Returned((feathered,))


@node("MaskComposite")
def composite_masks(run: NodeRun) -> Returned:
    """Combine a mask with another at a position, by an operation such as add or and."""
    left, top = run.integer("x"), run.integer("y")
    sources = run.images("source")
    combine = _OPERATIONS[run.text("operation")]
    composed = []
    for index, destination in enumerate(run.images("destination")):
        source = sources[index % len(sources)]
        right, bottom = min(left + source.width, destination.width), min(top + source.height, destination.height)
        mask = destination.copy()
        if left < right and top < bottom:
            part = source.crop((0, 0, right - left, bottom - top))
            mask.paste(combine(destination.crop((left, top, right, bottom)), part), (left, top))
        composed.append(mask)
    return Returned((composed,))


def _spread(mask: Image.Image, combine: _Combine, *, tapered: bool) -> Image.Image:
    """Combine each pixel with its neighbors; pixels beyond the edge do not count."""
    steps = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if not (tapered and dx and dy)]
    result = mask
    for dx, dy in steps:
        shifted = mask.copy()
        shifted.paste(mask, (dx, dy))
        result = combine(result, shifted)
    return result


def _ramp(length: int, start: int, end: int) -> list[float]:
    """Return the remaining share of a mask at each position of a side."""
    start, end = min(start, length), min(end, length)
    rates = [1.0] * length
    for position in range(start):
        rates[position] *= (position + 1) / start
    for position in range(end):
        # As on the real server, the fading at the end starts with the first pixel: -0 is 0.
        rates[-position] *= (position + 1) / end
    return rates
