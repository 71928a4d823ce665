"""What `submit`, `jobs wait` and `jobs download` do with a job: wait for its end, save its outputs, open them."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exit_codes import CommandFailedError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cli.gateway_session import GatewaySession
    from cli.printer import Printer
    from functions.rendering.job_json import JobJson, OutputJson

_STDOUT = "-"

OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]
OpenOption = Annotated[bool, typer.Option("--open", help="Open the outputs with the default application.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultOptions:
    """What to do with the outputs of a job.

    `output`: the folder to save them in, `-` for stdout, None to print their addresses. `only`: the name of the one
    output to save.
    """

    output: str | None = None
    overwrite: bool = False
    open_outputs: bool = False
    only: str | None = None

    @property
    def need_end(self) -> bool:
        """Whether there is anything to do when the job has ended."""
        return self.output is not None or self.open_outputs

    @property
    def to_stdout(self) -> bool:
        """Whether the output is written to stdout."""
        return self.output == _STDOUT

    def check(self, printer: Printer) -> None:
        """Raise CommandFailedError for options that exclude each other, or if the folder cannot be created."""
        from cli.download import make_folder  # noqa: PLC0415  `--help` does without it

        if self.to_stdout and (printer.as_json or self.open_outputs):
            other = "--json" if printer.as_json else "--open"
            raise CommandFailedError(f"-o - and {other} exclude each other", ExitCode.USAGE)
        if self.to_stdout and printer.on_terminal:
            raise CommandFailedError(
                "-o - writes a file to stdout, which is a terminal", ExitCode.USAGE, advice="Redirect it to a file."
            )
        if self.output is not None and not self.to_stdout:
            make_folder(Path(self.output))

    def resume_command(self, job_id: str) -> str:
        """Return the command that does the same for a job that was submitted before."""
        if self.output is None:
            return f"comfyui-gateway jobs wait {job_id}"
        only = f" --file {shlex.quote(self.only)}" if self.only else ""
        return f"comfyui-gateway jobs download {job_id} -o {shlex.quote(self.output)}{only}"


def finish(session: GatewaySession, job_id: str, options: ResultOptions, *, eta_seconds: int | None = None) -> None:
    """Wait for the end of a job, and print, save or open its outputs.

    Raises CommandFailedError if the job failed. For Ctrl-C its message says that the job continues.
    """
    from cli.job_wait import raise_if_failed, wait_for_end  # noqa: PLC0415  `--help` does without it

    with report_ctrl_c(job_id, options):
        session.printer.note(f"Job {job_id}")
        job = wait_for_end(session.api, job_id, resume_command=options.resume_command(job_id), eta_seconds=eta_seconds)
        if options.to_stdout:
            raise_if_failed(job)
            _write_to_stdout(session, job, options)
            return
        saved = _save(session, job, options)
        if session.printer.as_json:
            saved_to = {"savedTo": [str(path) for path in saved]} if options.output is not None else {}
            session.printer.json({**job, **saved_to})
        else:
            urls = [output["downloadUrl"] for output in job["outputs"] or ()]
            for line in urls if options.output is None else map(str, saved):
                session.printer.line(line)
        raise_if_failed(job)
        if options.open_outputs:
            _open(session, job, saved, options)


@contextmanager
def report_ctrl_c(job_id: str, options: ResultOptions) -> Iterator[None]:
    """Raise CommandFailedError for Ctrl-C: an accepted job continues."""
    try:
        yield
    except KeyboardInterrupt:
        raise CommandFailedError(
            "Stopped waiting; the job continues, unless it has ended",
            ExitCode.INTERRUPTED,
            advice=f"Wait again: {options.resume_command(job_id)}. Cancel it: comfyui-gateway jobs cancel {job_id}",
        ) from None


def _save(session: GatewaySession, job: JobJson, options: ResultOptions) -> Sequence[Path]:
    from cli.download import save_outputs  # noqa: PLC0415  `--help` does without it

    if options.output is None:
        return ()
    outputs = _selected(job, options) if job["status"] == "succeeded" else ()
    return save_outputs(session.api, job["jobId"], outputs, Path(options.output), overwrite=options.overwrite)


def _write_to_stdout(session: GatewaySession, job: JobJson, options: ResultOptions) -> None:
    from cli.download import write_to_stdout  # noqa: PLC0415  `--help` does without it

    outputs = _selected(job, options)
    if len(outputs) != 1:
        names = ", ".join(output["filename"] for output in outputs)
        raise CommandFailedError(
            f"The job has {len(outputs)} outputs, and stdout takes one: {names}",
            ExitCode.REFUSED,
            advice=f"Choose one: comfyui-gateway jobs download {job['jobId']} -o - --file NAME",
        )
    write_to_stdout(session.api, job["jobId"], outputs[0])


def _selected(job: JobJson, options: ResultOptions) -> Sequence[OutputJson]:
    outputs = job["outputs"] or ()
    if options.only is None:
        return outputs
    selected = [output for output in outputs if output["filename"] == options.only]
    if not selected:
        names = ", ".join(output["filename"] for output in outputs) or "none"
        raise CommandFailedError(
            f"The job has no output {options.only}", ExitCode.NOT_FOUND, advice=f"Its outputs: {names}"
        )
    return selected


def _open(session: GatewaySession, job: JobJson, saved: Sequence[Path], options: ResultOptions) -> None:
    from cli.open_files import open_files, open_urls  # noqa: PLC0415  few commands need it

    if options.output is None:
        open_urls(session.printer, [output["downloadUrl"] for output in job["outputs"] or ()])
    else:
        open_files(session.printer, saved)
