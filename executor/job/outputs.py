"""From what ComfyUI reports to files in the store: every file of every node, whatever key it stands under."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from executor.comfyui.client import ComfyFile
from executor.job.png_text import TextlessReader
from gateway.aws.resources import OUTPUT_PREFIX
from gateway.domain.file_names import content_type, disposition, known_ending, safe_name
from gateway.domain.job import Output
from gateway.errors import JobFailedError, OutputStorageError, OutputUnusableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from executor.comfyui.client import ComfyUI
    from gateway.domain.job import Job
    from gateway.ports import ObjectStore

    # What ComfyUI calls a file, and what opens it, given what it is called here.
    _Source = tuple[str, Callable[[str], BinaryIO]]

_AT_A_TIME = 4
# A record in the table may have 400 KB, and every write to it pays for all of it. An output's name is in it twice.
_MAX_RECORD_BYTES = 200_000
_RECORD_BYTES = 250  # of an output, beside its names


class OutputCollector:
    """Brings outputs from ComfyUI into the store."""

    def __init__(self, comfyui: ComfyUI, objects: ObjectStore) -> None:
        self._comfyui = comfyui
        self._objects = objects

    def store(self, job: Job, reported: Mapping[str, Any]) -> tuple[Output, ...]:
        """Store all outputs of this attempt, a few at a time, in the order ComfyUI reports them.

        Those of a private job are numbered instead of named, and PNG files lose the texts in them.

        Raises OutputUnusableError when there is none, or more than a job's record can name; OutputStorageError when
        one cannot be fetched or stored.
        """
        sources = [*self._files(reported), *_texts(reported)]
        if not sources:
            raise OutputUnusableError(
                "The workflow ran, but saved no file.",
                "End it with a node that saves (SaveImage, for instance); previews are not kept.",
            )
        given = [name for name, _open in sources]
        names = _numbered(given) if job.private else _unique(given)
        if sum(_RECORD_BYTES + 2 * len(name.encode()) for name in names) > _MAX_RECORD_BYTES:
            raise OutputUnusableError(
                f"The workflow made {len(names)} outputs, more than a job can have.",
                "Lower batch_size, or split the work into several jobs.",
            )
        with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="outputs") as pool:
            opens = [opener for _name, opener in sources]
            return tuple(pool.map(lambda name, opener: self._store_one(job, name, opener), names, opens))

    def _files(self, reported: Mapping[str, Any]) -> Iterator[_Source]:
        for file in files(reported):
            yield file.filename, partial(self._comfyui.open_file, file)

    def _store_one(self, job: Job, name: str, opener: Callable[[str], BinaryIO]) -> Output:
        key = f"{OUTPUT_PREFIX}{job.id}/{job.attempt}/{name}"
        file_type = content_type(name)
        try:
            with closing(opener(name)) as file:
                stream = cast("BinaryIO", TextlessReader(file, name)) if job.private else file
                stored = self._objects.put_stream(
                    key, stream, content_type=file_type, disposition=disposition(name, file_type)
                )
        except JobFailedError:
            raise
        except Exception as error:
            # Reads from ComfyUI and writes to the store break in many ways; all of them are worth another attempt.
            raise OutputStorageError(f"The output {name} could not be stored ({type(error).__name__}).") from error
        return Output(filename=name, key=key, size=stored.size, sha256=stored.sha256, content_type=file_type)


def files(reported: Mapping[str, Any]) -> list[ComfyFile]:
    """List the files in a history entry's `outputs`: all dicts with a filename that are no previews."""
    found: dict[ComfyFile, None] = {}
    for item in _items(reported):
        if isinstance(item, dict) and isinstance(item.get("filename"), str) and item.get("type") != "temp":
            file = ComfyFile(item["filename"], str(item.get("subfolder") or ""), str(item.get("type") or "output"))
            found[file] = None
    return list(found)


def _texts(reported: Mapping[str, Any]) -> Iterator[_Source]:
    """Make files of what nodes report as text."""
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
                yield from item if isinstance(item, list) else (item,)  # a node's batches, now and then


def _numbered(names: list[str]) -> list[str]:
    """Name files by nothing that they were called but what kind they are: `output_00001.png`."""
    return [f"output_{number:05}{known_ending(safe_name(name))}" for number, name in enumerate(names, start=1)]


def _unique(names: list[str]) -> list[str]:
    """Make file names that can stand in a key and a path, each once: `a.png`, then `a_2.png`."""
    taken: set[str] = set()
    result = []
    for name in map(safe_name, names):
        stem, dot, extension = name.rpartition(".")
        candidate, number = name, 1
        while candidate in taken:
            number += 1
            candidate = f"{stem}_{number}.{extension}" if dot else f"{name}_{number}"
        taken.add(candidate)
        result.append(candidate)
    return result
