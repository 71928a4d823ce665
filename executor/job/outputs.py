"""Store the outputs that ComfyUI reports: every file of every node, under whatever key, and texts as files."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from executor.comfyui.client import ComfyUIFile
from executor.job.png_text import PngTextStripper
from gateway.domain.file_names import content_type, disposition, known_ending, safe_name
from gateway.domain.job import Output
from gateway.domain.object_keys import OUTPUT_PREFIX
from gateway.errors import JobFailedError, OutputStorageError, OutputUnusableError
from gateway.limits import MAX_OUTPUT_LIST_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from executor.comfyui.client import ComfyUIClient
    from gateway.domain.job import Job
    from gateway.ports import ObjectStore

    # ComfyUI's name of a file, and a function that opens it, given its name here.
    _Source = tuple[str, Callable[[str], BinaryIO]]

_MAX_CONCURRENT_UPLOADS = 4
_BYTES_PER_OUTPUT = 250  # without its names


class OutputCollector:
    """Copies outputs from ComfyUI into the object store."""

    def __init__(self, comfyui: ComfyUIClient, objects: ObjectStore) -> None:
        self._comfyui = comfyui
        self._objects = objects

    def store(self, job: Job, reported: Mapping[str, Any]) -> tuple[Output, ...]:
        """Store all outputs of this attempt, a few at a time; return them in the order in which ComfyUI reports them.

        Outputs of a private job are numbered instead of named, and text chunks are stripped from PNG files.

        Raises OutputUnusableError when there is no output, or more than a job item can name; OutputStorageError when
        one cannot be fetched or stored.
        """
        sources = [*self._file_sources(reported), *_text_sources(reported)]
        if not sources:
            raise OutputUnusableError(
                "The workflow ran but saved no files.",
                "Add a node that saves (for example SaveImage) to the workflow; previews are not stored.",
            )
        original_names = [name for name, _open in sources]
        too_many = OutputUnusableError(
            f"The workflow produced {len(sources)} outputs, more than a job can have.",
            "Reduce batch_size, or split the work into several jobs.",
        )
        if len(sources) * _BYTES_PER_OUTPUT > MAX_OUTPUT_LIST_BYTES:
            raise too_many
        names = _numbered_names(original_names) if job.private else unique_names(original_names)
        if sum(_BYTES_PER_OUTPUT + 2 * len(name.encode()) for name in names) > MAX_OUTPUT_LIST_BYTES:
            raise too_many
        with ThreadPoolExecutor(_MAX_CONCURRENT_UPLOADS, thread_name_prefix="outputs") as pool:
            openers = [opener for _name, opener in sources]
            return tuple(pool.map(lambda name, opener: self._store_one(job, name, opener), names, openers))

    def _file_sources(self, reported: Mapping[str, Any]) -> Iterator[_Source]:
        for file in reported_files(reported):
            yield file.filename, partial(self._comfyui.open_file, file)

    def _store_one(self, job: Job, name: str, opener: Callable[[str], BinaryIO]) -> Output:
        key = f"{OUTPUT_PREFIX}{job.id}/{job.attempt}/{name}"
        file_type = content_type(name)
        try:
            with closing(opener(name)) as file:
                stream = cast("BinaryIO", PngTextStripper(file, name)) if job.private else file
                stored = self._objects.put_stream(
                    key, stream, content_type=file_type, disposition=disposition(name, file_type)
                )
        except JobFailedError:
            raise
        except Exception as error:
            # Reading from ComfyUI and writing to the store fail in many ways, all of which are worth a retry.
            raise OutputStorageError(f"The output {name} could not be stored ({type(error).__name__}).") from error
        return Output(filename=name, key=key, size=stored.size, sha256=stored.sha256, content_type=file_type)


def reported_files(reported: Mapping[str, Any]) -> list[ComfyUIFile]:
    """List the files in a history entry's `outputs`: all objects with a filename, except previews."""
    found: dict[ComfyUIFile, None] = {}
    for item in _items(reported):
        if isinstance(item, dict) and isinstance(item.get("filename"), str) and item.get("type") != "temp":
            file = ComfyUIFile(item["filename"], str(item.get("subfolder") or ""), str(item.get("type") or "output"))
            found[file] = None
    return list(found)


def _text_sources(reported: Mapping[str, Any]) -> Iterator[_Source]:
    """Turn texts that nodes report into files."""
    for node_id, kinds in reported.items():
        texts = kinds.get("text") if isinstance(kinds, dict) else None
        for index, text in enumerate(texts if isinstance(texts, list) else (), start=1):
            if isinstance(text, str):
                yield f"text_{node_id}_{index:05}.txt", partial(_open_text, text.encode(errors="replace"))


def _open_text(content: bytes, _name: str) -> BinaryIO:
    return cast("BinaryIO", io.BytesIO(content))


def _items(reported: Mapping[str, Any]) -> Iterator[Any]:
    for kinds in reported.values():
        for items in kinds.values() if isinstance(kinds, dict) else ():
            for item in items if isinstance(items, list) else ():
                yield from item if isinstance(item, list) else (item,)  # some nodes report a list for each batch


def _numbered_names(names: list[str]) -> list[str]:
    """Replace names by numbers, and keep only the file extension: `output_00001.png`."""
    return [f"output_{number:05}{known_ending(safe_name(name))}" for number, name in enumerate(names, start=1)]


def unique_names(names: list[str]) -> list[str]:
    """Make names safe for keys and paths, and unique: `a.png`, then `a_2.png`."""
    used: set[str] = set()
    last_numbers: dict[str, int] = {}  # by name, so that equal names do not count from the beginning each time
    result = []
    for name in map(safe_name, names):
        stem, dot, extension = name.rpartition(".")
        candidate, number = name, last_numbers.get(name, 1)
        while candidate in used:
            number += 1
            candidate = f"{stem}_{number}.{extension}" if dot else f"{name}_{number}"
        last_numbers[name] = number
        used.add(candidate)
        result.append(candidate)
    return result
