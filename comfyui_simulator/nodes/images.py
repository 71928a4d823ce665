"""Nodes that load, make and change images; they compute the same pixels as the real ones."""

from __future__ import annotations

from PIL import Image, ImageOps, ImageSequence

from comfyui_simulator.drawing import as_rgb_or_rgba, inverted
from comfyui_simulator.nodes.node_run import NodeRun, Returned, node

_FILTERS = {
    "nearest-exact": Image.Resampling.NEAREST,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

_NO_MASK_SIZE = (64, 64)


@node("LoadImage")
def load_image(run: NodeRun) -> Returned:
    """Load an image and, as a mask, what is transparent in it (64 x 64 of nothing if it has no alpha)."""
    images: list[Image.Image] = []
    masks: list[Image.Image] = []
    with Image.open(run.machine.files.resolve(run.text("image"))) as file:
        for frame in ImageSequence.Iterator(file):
            image = as_rgb_or_rgba(ImageOps.exif_transpose(frame))
            if images and image.size != images[0].size:
                continue
            has_alpha = image.mode == "RGBA"
            masks.append(inverted(image.getchannel("A")) if has_alpha else Image.new("L", _NO_MASK_SIZE))
            images.append(image.convert("RGB"))
    return Returned((images, masks))


@node("LoadImageMask")
def load_image_mask(run: NodeRun) -> Returned:
    """Load one channel of an image as a mask; of the alpha channel, what is transparent."""
    channel = run.text("channel")[0].upper()
    with Image.open(run.machine.files.resolve(run.text("image"))) as file:
        image = as_rgb_or_rgba(ImageOps.exif_transpose(file))
    if channel not in image.getbands():
        return Returned(([Image.new("L", _NO_MASK_SIZE)],))
    mask = image.getchannel(channel)
    return Returned(([inverted(mask) if channel == "A" else mask],))


@node("EmptyImage")
def empty_image(run: NodeRun) -> Returned:
    """Make images of one color, given as 0xRRGGBB."""
    color = run.integer("color")
    rgb = (color >> 16 & 0xFF, color >> 8 & 0xFF, color & 0xFF)
    size = (run.integer("width"), run.integer("height"))
    return Returned(([Image.new("RGB", size, rgb) for _ in range(run.integer("batch_size"))],))


@node("ImageInvert")
def invert_image(run: NodeRun) -> Returned:
    """Invert all channels."""
    return Returned(([inverted(image) for image in run.images("image")],))


@node("ImageScale")
def scale_image(run: NodeRun) -> Returned:
    """Resize to a size in pixels, optionally cropped around the middle; a side of 0 keeps the proportions."""
    images = run.images("image")
    width, height = run.integer("width"), run.integer("height")
    if width == height == 0:
        return Returned((images,))
    old_width, old_height = images[0].size
    width = width or max(1, round(old_width * height / old_height))
    height = height or max(1, round(old_height * width / old_width))
    change = resize_and_cut if run.text("crop") == "center" else _resize
    return Returned((change(images, width, height, run.text("upscale_method")),))


@node("ImageScaleBy")
def scale_image_by(run: NodeRun) -> Returned:
    """Resize by a factor."""
    images = run.images("image")
    width, height = (round(side * run.number("scale_by")) for side in images[0].size)
    return Returned((_resize(images, width, height, run.text("upscale_method")),))


@node("ImageCrop")
def crop_image(run: NodeRun) -> Returned:
    """Crop to a rectangle, clamped to the image."""
    images = run.images("image")
    left = min(run.integer("x"), images[0].width - 1)
    top = min(run.integer("y"), images[0].height - 1)
    right = min(left + run.integer("width"), images[0].width)
    bottom = min(top + run.integer("height"), images[0].height)
    return Returned(([image.crop((left, top, right, bottom)) for image in images],))


@node("ImageBatch")
def batch_images(run: NodeRun) -> Returned:
    """Join two batches, the second resized to the size of the first."""
    first = run.images("image1")
    second = resize_and_cut(run.images("image2"), *first[0].size, "bilinear")
    return Returned((first + second,))


@node("RepeatImageBatch")
def repeat_images(run: NodeRun) -> Returned:
    """Repeat a batch."""
    return Returned((run.images("image") * run.integer("amount"),))


@node("ImageCompositeMasked")
def composite_images(run: NodeRun) -> Returned:
    """Paste an image onto another, through a mask if there is one."""
    sources = run.images("source")
    masks = run.images("mask") if "mask" in run.inputs else None
    composed = []
    for index, destination in enumerate(run.images("destination")):
        source = sources[index % len(sources)]
        if run.flag("resize_source"):
            source = _resize([source], *destination.size, "bilinear")[0]
        mask = _resize([masks[index % len(masks)]], *source.size, "bilinear")[0] if masks else None
        image = destination.copy()
        image.paste(source, (run.integer("x"), run.integer("y")), mask)
        composed.append(image)
    return Returned((composed,))


@node("JoinImageWithAlpha")
def join_alpha(run: NodeRun) -> Returned:
    """Make what the mask covers transparent: the alpha channel is the inverted mask."""
    joined = []
    for image, mask in zip(run.images("image"), run.images("alpha"), strict=False):
        alpha = inverted(_resize([mask], *image.size, "bilinear")[0])
        joined.append(Image.merge("RGBA", (*image.split()[:3], alpha)))
    return Returned((joined,))


@node("SplitImageWithAlpha")
def split_alpha(run: NodeRun) -> Returned:
    """Split an image into its colors and its transparency as a mask."""
    images = run.images("image")
    masks = [
        inverted(image.getchannel("A")) if image.mode == "RGBA" else Image.new("L", image.size) for image in images
    ]
    return Returned(([image.convert("RGB") for image in images], masks))


def _resize(images: list[Image.Image], width: int, height: int, method: str) -> list[Image.Image]:
    if method != "bilinear":
        return [image.resize((width, height), _FILTERS[method]) for image in images]
    # Real servers interpolate between the four nearest pixels even when they shrink; Pillow would average.
    old_width, old_height = images[0].size
    matrix = (old_width / width, 0, 0, 0, old_height / height, 0)
    return [
        image.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR) for image in images
    ]


def resize_and_cut(images: list[Image.Image], width: int, height: int, method: str) -> list[Image.Image]:
    """Resize images to a size in pixels, cropping them to its proportions."""
    return _resize([_cut_to_proportions(image, width, height) for image in images], width, height, method)


def _cut_to_proportions(image: Image.Image, width: int, height: int) -> Image.Image:
    """Cut off both sides, or top and bottom, so that the rest has the proportions of width and height."""
    old_width, old_height = image.size
    left = top = 0
    if old_width / old_height > width / height:
        left = round((old_width - old_width * (width / height) / (old_width / old_height)) / 2)
    elif old_width / old_height < width / height:
        top = round((old_height - old_height * (old_width / old_height) / (width / height)) / 2)
    return image.crop((left, top, old_width - left, old_height - top))
