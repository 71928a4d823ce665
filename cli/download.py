"""Downloads outputs of a job, to a folder or to stdout.

Their names come from the gateway, which is not trusted: every file is saved in the folder itself. Its hash is verified
before it gets its name or is written to stdout, so that a file is complete or absent.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cli.exit_codes import CommandFailedError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cli.api import GatewayApi
    from functions.rendering.job_json import OutputJson

_MAX_NAME_BYTES = 200  # file systems allow 255
_JOB_CHARACTERS = 8
_FORBIDDEN = '<>:"|?*'  # on some file systems


def make_folder(folder: Path) -> None:
    """Create the folder to save files in. Raises CommandFailedError if that fails or it is not writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandFailedError(f"Cannot create the folder {folder}: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise CommandFailedError(f"Cannot write to the folder {folder}")


def save_outputs(
    api: GatewayApi, job_id: str, outputs: Sequence[OutputJson], folder: Path, *, overwrite: bool
) -> Sequence[Path]:
    """Save outputs of a job, and return their paths. Raises CommandFailedError.

    File names begin with the job's id, since many jobs have a `gateway_00001_.png`. An existing file with the same
    content is left alone; one with other content is replaced only with `overwrite`.
    """
    return [_save(api, job_id, output, folder, overwrite=overwrite) for output in outputs]


def write_to_stdout(api: GatewayApi, job_id: str, output: OutputJson) -> None:
    """Write an output to stdout, as bytes. Raises CommandFailedError, and then has written nothing."""
    with tempfile.TemporaryFile() as stream:
        _fetch(api, job_id, output, stream.write)
        stream.seek(0)
        sys.stdout.flush()
        shutil.copyfileobj(stream, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def local_name(job_id: str, filename: str) -> str:
    """Return a safe name for a file: one path segment, without characters that a shell or a terminal interprets."""
    last = filename.replace("\\", "/").rpartition("/")[2]
    safe = "".join(c if c.isprintable() and c not in _FORBIDDEN else "_" for c in last).strip(". ")
    stem, dot, ending = safe.rpartition(".")
    ending = (dot + ending).encode()[-20:].decode(errors="ignore") if dot else ""
    stem = (stem if dot else safe).encode()[: _MAX_NAME_BYTES - len(ending.encode())].decode(errors="ignore")
    job = "".join(c for c in job_id if c.isalnum())[:_JOB_CHARACTERS]
    return f"{job}-{stem or 'output'}{ending}"


def _save(api: GatewayApi, job_id: str, output: OutputJson, folder: Path, *, overwrite: bool) -> Path:
    target = folder / local_name(job_id, output["filename"])
    if target.exists() or target.is_symlink():
        if target.is_file() and _sha256(target) == output["sha256"]:
            return target
        if not overwrite:
            raise CommandFailedError(
                f"{target} exists, with other content", ExitCode.REFUSED, advice="Replace it with --overwrite."
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
    sha256, size = hashlib.sha256(), 0
    for chunk in api.file(job_id, output["filename"]):
        size += len(chunk)
        if size > output["size"]:
            break
        sha256.update(chunk)
        write(chunk)
    if size != output["size"] or sha256.hexdigest() != output["sha256"]:
        raise CommandFailedError(
            f"The download of {output['filename']} is incomplete or was altered",
            ExitCode.UNREACHABLE,
            advice=f"Try again: comfyui-gateway jobs download {job_id}",
        )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _umask() -> int:
    # There is no call that only reads it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
