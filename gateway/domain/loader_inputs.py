"""Inputs of nodes that name files on ComfyUI's host, and what callers may write into them.

ComfyUI opens whatever such an input names: `/any/picture.png`, `../x.png`, or `folder/x.png [output]`, which is what
another job saved. So a workflow's author lists the names that callers can choose from, as an `enum`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.domain.template import is_link

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Of ComfyUI 0.3.75 and of widespread custom nodes, where the names below do not tell. Load3D's image is an object of
# file names.
_LOADER_INPUTS: Mapping[str, tuple[str, ...]] = {
    "GeminiInputFiles": ("file",),
    "Load3D": ("model_file", "image"),
    "Load3DAnimation": ("model_file", "image"),
    "LoadAudio": ("audio",),
    "LoadImage": ("image",),
    "LoadImageDataSetFromFolder": ("folder",),
    "LoadImageMask": ("image",),
    "LoadImageOutput": ("image",),
    "LoadImageSetFromFolderNode": ("folder",),
    "LoadImageSetNode": ("images",),
    "LoadImageTextDataSetFromFolder": ("folder",),
    "LoadImageTextSetFromFolderNode": ("folder",),
    "LoadLatent": ("latent",),
    "LoadTrainingDataset": ("folder_name",),
    "LoadVideo": ("file",),
    "OpenAIInputFiles": ("file",),
    "RecordAudio": ("audio",),
    "SaveImageDataSetToFolder": ("folder_name",),
    "SaveImageTextDataSetToFolder": ("folder_name",),
    "SaveTrainingDataset": ("folder_name",),
    "VHS_LoadAudio": ("audio_file",),
    "VHS_LoadAudioUpload": ("audio",),
    "VHS_LoadImagePath": ("image",),
    "VHS_LoadImages": ("directory",),
    "VHS_LoadImagesPath": ("directory",),
    "VHS_LoadVideo": ("video",),
    "VHS_LoadVideoFFmpeg": ("video",),
    "VHS_LoadVideoFFmpegPath": ("video",),
    "VHS_LoadVideoPath": ("video",),
    "WebcamCapture": ("image",),
}
_FILE_NAMED = re.compile(r"(?:path|file|dir|directory|folder)s?\Z|directories\Z", re.IGNORECASE)
# A text in such an input of a node that loads can only be a name. Nodes that take the bytes as base64 are another way.
_LOADING_CLASS = re.compile(r"\A(?!.*base64).*(?:load|read)", re.IGNORECASE | re.DOTALL)
_MEDIA = frozenset({"image", "images", "mask", "audio", "video", "latent", "mesh", "filename", "file_name"})
# These only show the name of a model, which other nodes make.
_HARMLESS = frozenset({("Preview3D", "model_file"), ("Preview3DAnimation", "model_file")})
# What a text becomes in these nodes names no file any more. All others may pass it on.
_TEXT_ENDS = re.compile(r"TextEncode|KSampler|SamplerCustom|VAEDecode")

# Custom nodes remove quotes and spaces around a path.
_ABSOLUTE = re.compile(r"[\s\"']*(?:/|~|[A-Za-z]:|file:)", re.IGNORECASE)
_FORBIDDEN = re.compile(r"\.\.|\\|\0|\[(?:output|input|temp)\]", re.IGNORECASE)
_FORBIDDEN_IN_PART = re.compile(r"\A\Z|\A[\s./:]|[\s./:]\Z|[\[\]]")


@dataclass(frozen=True, slots=True)
class NodeInput:
    """An input of a node of a graph."""

    node_id: str
    class_type: str
    name: str

    def __str__(self) -> str:
        """Return its name as a reader of the graph knows it."""
        return f"{self.class_type}.{self.name}"


@dataclass(frozen=True, slots=True)
class FileName:
    """A value in a graph that names a file, or is a part of the name."""

    loader: NodeInput  # that opens the file
    place: NodeInput  # where the value is: the loader's input, or one of a node that is linked to it
    value: Any  # a scalar


def loader_inputs(graph: Mapping[str, Any]) -> Iterator[tuple[NodeInput, Any]]:
    """Yield the inputs of a graph that name files on the host, with their values."""
    for node_id, node in graph.items():
        class_type = node["class_type"]
        for name, value in node.get("inputs", {}).items():
            if _names_file(class_type, name):
                yield NodeInput(node_id, class_type, name), value


def file_names(graph: Mapping[str, Any]) -> Iterator[FileName]:
    """Yield all values of a valid graph that reach an input that names files, directly or by links."""
    pending = [(loader, loader, value) for loader, value in loader_inputs(graph)]
    followed: set[str] = set()
    while pending:
        loader, place, value = pending.pop()
        if is_link(value):
            source, node = value[0], graph[value[0]]
            if source not in followed and not _TEXT_ENDS.search(node["class_type"]):
                followed.add(source)
                pending += [
                    (loader, NodeInput(source, node["class_type"], name), item)
                    for name, item in node.get("inputs", {}).items()
                ]
        elif isinstance(value, list | dict):
            pending += [(loader, place, item) for item in (value.values() if isinstance(value, dict) else value)]
        else:
            yield FileName(loader, place, value)


def is_allowed_name(value: str, *, whole: bool) -> bool:
    """Return whether a caller may write this text into an input that names a file.

    `whole`: it is all of the name. A part may not change what the parts around it mean, either.
    """
    if _ABSOLUTE.match(value) or _FORBIDDEN.search(value):
        return False
    return whole or not _FORBIDDEN_IN_PART.search(value)


def _names_file(class_type: str, name: str) -> bool:
    if (class_type, name) in _HARMLESS:
        return False
    return (
        name in _LOADER_INPUTS.get(class_type, ())
        or _FILE_NAMED.search(name) is not None
        or (name.lower() in _MEDIA and _LOADING_CLASS.match(class_type) is not None)
    )
