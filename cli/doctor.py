"""`comfyui-gateway doctor`: checks the installation, and suggests fixes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exit_codes import CommandFailedError, ExitCode
from cli.gateway_checks import CheckState, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.gateway_session import GatewaySession

_COLORS = {CheckState.GOOD: "green", CheckState.WARNING: "yellow", CheckState.PROBLEM: "red", CheckState.SKIPPED: "dim"}
_ENV_FILE = Path(".env")


def doctor(
    session: GatewaySession,
    *,
    stage: Annotated[str | None, typer.Option(help="Deployed stage whose table and queues to check.")] = None,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="Receiver to send a sample webhook to.")] = None,
) -> None:
    """Check the installation and suggest fixes.

    Check .env in this folder, the gateway, credentials, clocks, executors, ComfyUI, and the models of workflows. With
    AWS credentials, or if a gateway runs on this machine, check its table and queues. Exit with 1 if there is a
    problem.

    Examples:
      comfyui-gateway doctor
      comfyui-gateway doctor --stage prod --webhook https://app.example.com/hooks/comfyui

    """
    found: list[Finding] = []
    for finding in _findings(session, stage, webhook):
        if not session.printer.as_json:
            _print(finding, with_advice=finding.advice not in {earlier.advice for earlier in found})
        found.append(finding)
    problems = sum(finding.state is CheckState.PROBLEM for finding in found)
    if session.printer.as_json:
        shown = [{"what": f.what, "state": f.state, "message": f.message, "advice": f.advice or None} for f in found]
        session.printer.json({"ok": not problems, "findings": shown})
    elif not problems:
        session.printer.note("No problem found.")
    if problems:
        if not session.printer.as_json:
            session.printer.note(f"{problems} {'problem' if problems == 1 else 'problems'} found.")
        raise typer.Exit(ExitCode.FAILED)


def _findings(session: GatewaySession, stage: str | None, webhook: str | None) -> Iterator[Finding]:
    from cli.aws_session import AwsSession  # noqa: PLC0415  the other commands do without it
    from cli.gateway_checks import check_gateway  # noqa: PLC0415  the other commands do without it

    yield from _env_file()
    if file := session.connection.exposed_file:
        advice = f"chmod 600 {file}; if other people use this machine, create a new key."
        yield Finding("profile", CheckState.WARNING, f"other users can read the API key in {file}", advice)
    yield from check_gateway(session.api, webhook)
    aws = AwsSession(session.printer, stage)
    if not aws.is_configured:
        yield Finding("aws", CheckState.SKIPPED, "check the table and queues of a stage: doctor --stage STAGE")
        return
    from cli.aws_checks import check_aws  # noqa: PLC0415  boto3 takes half a second to import

    yield from check_aws(aws)


def _env_file() -> Iterator[Finding]:
    from cli import env_file, env_settings  # noqa: PLC0415  the other commands do without it

    try:
        variables = env_file.read(_ENV_FILE) or {}
    except CommandFailedError as error:
        yield Finding("settings", CheckState.PROBLEM, error.message, f"Fix {_ENV_FILE}.")
        return
    for state, problems in (
        (CheckState.PROBLEM, env_settings.invalid_values(variables)),
        (CheckState.WARNING, env_settings.unknown_names(variables)),
    ):
        for problem in problems:
            yield Finding("settings", state, f"{_ENV_FILE}: {problem}", "See docs/configuration.md.")


def _print(finding: Finding, *, with_advice: bool) -> None:
    from rich.text import Text  # noqa: PLC0415  --json does without it

    from cli.printer import console, printable  # noqa: PLC0415  --json does without it

    output = console()
    mark = Text(f"{finding.state:<8}", style=_COLORS[finding.state])
    output.print(
        Text.assemble(mark, (printable(finding.what), "bold"), f"  {printable(finding.message)}"),
        soft_wrap=not output.is_terminal,
    )
    if finding.advice and with_advice:
        output.print(Text(f"{'':<8}→ {printable(finding.advice)}"), soft_wrap=not output.is_terminal)
