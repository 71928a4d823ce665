"""Nodes that load, make and change pictures; they compute real pixels."""

from PIL import Image, ImageOps, ImageSequence

from comfyui_simulator.nodes.node_run import NodeRun, Returned, node
from comfyui_simulator.pictures import as_rgb_or_rgba, inverted

_FILTERS = {
    "nearest-exact": Image.Resampling.NEAREST,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

_NO_MASK_SIZE = (64, 64)


@node("LoadImage")
def load_image(run: NodeRun) -> Returned:
    """Load a picture and, as a mask, what is transparent in it (64 x 64 of nothing if it has no alpha)."""
    pictures: list[Image.Image] = []
    masks: list[Image.Image] = []
    with Image.open(run.machine.files.resolve(run.text("image"))) as file:
        for frame in ImageSequence.Iterator(file):
            picture = as_rgb_or_rgba(ImageOps.exif_transpose(frame))
            if pictures and picture.size != pictures[0].size:
                continue
            has_alpha = picture.mode == "RGBA"
            masks.append(inverted(picture.getchannel("A")) if has_alpha else Image.new("L", _NO_MASK_SIZE))
            pictures.append(picture.convert("RGB"))
    return Returned((pictures, masks))


@node("LoadImageMask")
def load_image_mask(run: NodeRun) -> Returned:
    """Load one channel of a picture as a mask; of the alpha channel, what is transparent."""
    channel = run.text("channel")[0].upper()
    with Image.open(run.machine.files.resolve(run.text("image"))) as file:
        picture = as_rgb_or_rgba(ImageOps.exif_transpose(file))
    if channel not in picture.getbands():
        return Returned(([Image.new("L", _NO_MASK_SIZE)],))
    mask = picture.getchannel(channel)
    return Returned(([inverted(mask) if channel == "A" else mask],))


@node("EmptyImage")
def empty_image(run: NodeRun) -> Returned:
    """Make pictures of one colour, given as 0xRRGGBB."""
    colour = run.integer("color")
    rgb = (colour >> 16 & 0xFF, colour >> 8 & 0xFF, colour & 0xFF)
    size = (run.integer("width"), run.integer("height"))
    return Returned(([Image.new("RGB", size, rgb) for _ in range(run.integer("batch_size"))],))


@node("ImageInvert")
def invert_image(run: NodeRun) -> Returned:
    """Invert all channels."""
    return Returned(([inverted(picture) for picture in run.pictures("image")],))


@node("ImageScale")
def scale_image(run: NodeRun) -> Returned:
    """Resize to a size in pixels, cut in the middle if asked for; a side of 0 keeps the proportions."""
    pictures = run.pictures("image")
    width, height = run.integer("width"), run.integer("height")
    if width == height == 0:
        return Returned((pictures,))
    old_width, old_height = pictures[0].size
    width = width or max(1, round(old_width * height / old_height))
    height = height or max(1, round(old_height * width / old_width))
    change = resize_and_cut if run.text("crop") == "center" else _resize
    return Returned((change(pictures, width, height, run.text("upscale_method")),))


@node("ImageScaleBy")
def scale_image_by(run: NodeRun) -> Returned:
    """Resize by a factor."""
    pictures = run.pictures("image")
    width, height = (round(side * run.number("scale_by")) for side in pictures[0].size)
    return Returned((_resize(pictures, width, height, run.text("upscale_method")),))


@node("ImageCrop")
def crop_image(run: NodeRun) -> Returned:
    """Cut a rectangle out; it is moved or cut so that it lies in the picture."""
    pictures = run.pictures("image")
    left = min(run.integer("x"), pictures[0].width - 1)
    top = min(run.integer("y"), pictures[0].height - 1)
    right = min(left + run.integer("width"), pictures[0].width)
    bottom = min(top + run.integer("height"), pictures[0].height)
    return Returned(([picture.crop((left, top, right, bottom)) for picture in pictures],))


@node("ImageBatch")
def batch_images(run: NodeRun) -> Returned:
    """Join two batches, the second resized to the size of the first."""
    first = run.pictures("image1")
    second = resize_and_cut(run.pictures("image2"), *first[0].size, "bilinear")
    return Returned((first + second,))


@node("RepeatImageBatch")
def repeat_images(run: NodeRun) -> Returned:
    """Repeat a batch."""
    return Returned((run.pictures("image") * run.integer("amount"),))


@node("ImageCompositeMasked")
def composite_images(run: NodeRun) -> Returned:
    """Paste a picture onto another, through a mask if there is one."""
    sources = run.pictures("source")
    masks = run.pictures("mask") if "mask" in run.inputs else None
    composed = []
    for index, destination in enumerate(run.pictures("destination")):
        source = sources[index % len(sources)]
        if run.flag("resize_source"):
            source = _resize([source], *destination.size, "bilinear")[0]
        mask = _resize([masks[index % len(masks)]], *source.size, "bilinear")[0] if masks else None
        picture = destination.copy()
        picture.paste(source, (run.integer("x"), run.integer("y")), mask)
        composed.append(picture)
    return Returned((composed,))


@node("JoinImageWithAlpha")
def join_alpha(run: NodeRun) -> Returned:
    """Make what the mask covers transparent: the alpha channel is the inverted mask."""
    joined = []
    for picture, mask in zip(run.pictures("image"), run.pictures("alpha"), strict=False):
        alpha = inverted(_resize([mask], *picture.size, "bilinear")[0])
        joined.append(Image.merge("RGBA", (*picture.split()[:3], alpha)))
    return Returned((joined,))


@node("SplitImageWithAlpha")
def split_alpha(run: NodeRun) -> Returned:
    """Part a picture from its transparency, which becomes a mask."""
    pictures = run.pictures("image")
    masks = [
        inverted(picture.getchannel("A")) if picture.mode == "RGBA" else Image.new("L", picture.size)
        for picture in pictures
    ]
    return Returned(([picture.convert("RGB") for picture in pictures], masks))


def _resize(pictures: list[Image.Image], width: int, height: int, method: str) -> list[Image.Image]:
    if method != "bilinear":
        return [picture.resize((width, height), _FILTERS[method]) for picture in pictures]
    # Real servers interpolate between the four nearest pixels even when they shrink; Pillow would average.
    old_width, old_height = pictures[0].size
    matrix = (old_width / width, 0, 0, 0, old_height / height, 0)
    return [
        picture.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        for picture in pictures
    ]


def resize_and_cut(pictures: list[Image.Image], width: int, height: int, method: str) -> list[Image.Image]:
    """Resize pictures to a size in pixels, cutting off what does not fit its proportions."""
    return _resize([_cut_to_proportions(picture, width, height) for picture in pictures], width, height, method)


def _cut_to_proportions(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Cut off both sides, or top and bottom, so that the rest has the proportions of width and height."""
    old_width, old_height = picture.size
    left = top = 0
    if old_width / old_height > width / height:
        left = round((old_width - old_width * (width / height) / (old_width / old_height)) / 2)
    elif old_width / old_height < width / height:
        top = round((old_height - old_height * (old_width / old_height) / (width / height)) / 2)
    return picture.crop((left, top, old_width - left, old_height - top))
