"""Files of a job, brought to a folder of the user's.

The names come from elsewhere: whatever they say, a file lies in the folder itself. It is there whole, as its hash says,
or not at all.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cli.exit_codes import CommandFailedError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cli.api import GatewayApi
    from functions.rendering.job_json import JobJson, OutputJson

_MAX_NAME_BYTES = 200  # file systems take 255
_JOB_CHARACTERS = 8
_FORBIDDEN = '<>:"|?*'  # on some file systems


def make_folder(folder: Path) -> None:
    """Make the folder that files are to be saved in. Raises CommandFailedError when they could not be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandFailedError(f"Cannot make the folder {folder}: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise CommandFailedError(f"Cannot write to the folder {folder}")


def save_outputs(api: GatewayApi, job: JobJson, folder: Path, *, overwrite: bool) -> Sequence[Path]:
    """Save all files of a job, and return where they are. Raises CommandFailedError.

    The job's id begins their names, since many jobs have a `gateway_00001_.png`. A file that is there already with the
    same content is left alone; with another one it stays, unless `overwrite`.
    """
    return [_save(api, job["jobId"], output, folder, overwrite=overwrite) for output in job["outputs"] or ()]


def local_name(job_id: str, filename: str) -> str:
    """Make the name that a file has here: one part of a path, without anything that a shell or a terminal acts on."""
    last = filename.replace("\\", "/").rpartition("/")[2]
    kept = "".join(c if c.isprintable() and c not in _FORBIDDEN else "_" for c in last).strip(". ")
    stem, dot, ending = kept.rpartition(".")
    ending = (dot + ending).encode()[-20:].decode(errors="ignore") if dot else ""
    stem = (stem if dot else kept).encode()[: _MAX_NAME_BYTES - len(ending.encode())].decode(errors="ignore")
    job = "".join(c for c in job_id if c.isalnum())[:_JOB_CHARACTERS]
    return f"{job}-{stem or 'output'}{ending}"


def _save(api: GatewayApi, job_id: str, output: OutputJson, folder: Path, *, overwrite: bool) -> Path:
    target = folder / local_name(job_id, output["filename"])
    if target.exists() or target.is_symlink():
        if target.is_file() and _sha256(target) == output["sha256"]:
            return target
        if not overwrite:
            raise CommandFailedError(
                f"{target} is there already, with another content; --overwrite replaces it", ExitCode.REFUSED
            )
    try:
        descriptor, part = tempfile.mkstemp(dir=folder, prefix=".comfyui-gateway-", suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                _fetch(api, job_id, output, stream.write)
            Path(part).chmod(0o666 & ~_umask())
            Path(part).replace(target)
        finally:
            Path(part).unlink(missing_ok=True)
    except OSError as error:
        raise CommandFailedError(f"Cannot write {target}: {error.strerror or error}") from None
    return target


def _fetch(api: GatewayApi, job_id: str, output: OutputJson, write: Callable[[bytes], object]) -> None:
    hashed, size = hashlib.sha256(), 0
    for piece in api.file(job_id, output["filename"]):
        size += len(piece)
        if size > output["size"]:
            break
        hashed.update(piece)
        write(piece)
    if size != output["size"] or hashed.hexdigest() != output["sha256"]:
        raise CommandFailedError(
            f"{output['filename']} did not come as it is stored: it broke off, or was changed on its way. Try again: "
            f"comfyui-gateway job {job_id} -o DIR",
            ExitCode.UNREACHABLE,
        )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _umask() -> int:
    # There is no other way to ask.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
