"""Store the outputs that ComfyUI reports: every file of every node, under whatever key, and texts as files."""

from __future__ import annotations

import io
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import urllib3

from executor.comfyui.client import ComfyUIFile
from executor.job.daemon_threads import map_in_threads
from executor.job.png_text import PngTextStripper
from gateway.domain.file_names import content_type, disposition, known_ending, safe_name
from gateway.domain.job import Output
from gateway.domain.object_keys import OUTPUT_PREFIX
from gateway.errors import (
    ComfyUIUnreachableError,
    JobFailedError,
    ObjectRefusedError,
    OutputStorageError,
    OutputUnusableError,
)
from gateway.limits import MAX_OUTPUT_LIST_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from executor.comfyui.client import ComfyUIClient
    from executor.job.outage import OutageWaiter
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

    def store(
        self, job: Job, reported: Mapping[str, Any], waiter: OutageWaiter, must_stop: Callable[[], bool]
    ) -> tuple[Output, ...]:
        """Store all outputs of this attempt, a few at a time; return them in the order in which ComfyUI reports them.

        Outputs of a private job are numbered instead of named, and text chunks are stripped from PNG files.

        `waiter` repeats what fails because ComfyUI or the store is unavailable; its errors are raised, too.
        Raises ExecutionStoppedError as soon as `must_stop` returns True; OutputUnusableError when there is no output,
        more than a job item can name, or one that the store refuses; OutputStorageError when one cannot be read.
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
        openers = [opener for _name, opener in sources]
        outputs = map_in_threads(
            lambda named: waiter.call(lambda: self._store_one(job, named[0], named[1], waiter)),
            list(zip(names, openers, strict=True)),
            threads=_MAX_CONCURRENT_UPLOADS,
            must_stop=must_stop,
        )
        return tuple(outputs)

    def _file_sources(self, reported: Mapping[str, Any]) -> Iterator[_Source]:
        for file in reported_files(reported):
            yield file.filename, partial(self._comfyui.open_file, file)

    def _store_one(self, job: Job, name: str, opener: Callable[[str], BinaryIO], waiter: OutageWaiter) -> Output:
        key = f"{OUTPUT_PREFIX}{job.id}/{job.attempt}/{name}"
        file_type = content_type(name)
        try:
            with closing(opener(name)) as file:
                stripped = cast("BinaryIO", PngTextStripper(file, name)) if job.private else file
                stream = cast("BinaryIO", _SourceReader(stripped, name, waiter))
                stored = self._objects.put_stream(
                    key, stream, content_type=file_type, disposition=disposition(name, file_type)
                )
        except ObjectRefusedError as refused:
            raise OutputUnusableError(f"The output store refuses the output {name}: {refused.message}") from None
        return Output(filename=name, key=key, size=stored.size, sha256=stored.sha256, content_type=file_type)


class _SourceReader:
    """Reads from ComfyUI while the job may continue; its errors can be told from those of the store."""

    def __init__(self, stream: BinaryIO, name: str, waiter: OutageWaiter) -> None:
        self._stream = stream
        self._name = name
        self._waiter = waiter

    def read(self, size: int = -1) -> bytes:
        self._waiter.check()
        try:
            return self._stream.read(size)
        except JobFailedError:
            raise
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ComfyUIUnreachableError(
                f"ComfyUI stopped sending the output {self._name} ({type(error).__name__})."
            ) from error
        except Exception as error:
            raise OutputStorageError(f"The output {self._name} could not be read ({type(error).__name__}).") from error


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
