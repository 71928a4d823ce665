"""`comfyui-gateway doctor`: looks at everything that has to work, and says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.exit_codes import ExitCode
from cli.finding import Finding, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.gateway_session import GatewaySession

_COLOURS = {State.GOOD: "green", State.WARNING: "yellow", State.PROBLEM: "red", State.SKIPPED: "dim"}


def doctor(
    session: GatewaySession,
    *,
    stage: Annotated[str | None, typer.Option(help="The deployed stage whose table and queues to look at.")] = None,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="A receiver to send a sample to.")] = None,
) -> None:
    """Look at all that has to work, and say what to do about what does not.

    The gateway, credentials, clocks, ComfyUI, the models that workflows name; with AWS credentials, or where a gateway
    runs on this machine, table and queues; with --webhook, a receiver. It ends with 1 if there is a problem.

    Try:

      comfyui-gateway doctor

      comfyui-gateway doctor --stage prod --webhook https://app.example.com/hooks/comfyui
    """
    found: list[Finding] = []
    for finding in _findings(session, stage, webhook):
        found.append(finding)
        if not session.printer.as_json:
            _show(finding)
    problems = sum(finding.state is State.PROBLEM for finding in found)
    if session.printer.as_json:
        shown = [{"what": f.what, "state": f.state, "message": f.message, "advice": f.advice or None} for f in found]
        session.printer.data({"ok": not problems, "findings": shown})
    elif not problems:
        session.printer.note("No problem found.")
    if problems:
        if not session.printer.as_json:
            session.printer.note(f"{problems} {'problem' if problems == 1 else 'problems'} found.")
        raise typer.Exit(ExitCode.FAILED)


def _findings(session: GatewaySession, stage: str | None, webhook: str | None) -> Iterator[Finding]:
    from cli.aws_session import AwsSession  # noqa: PLC0415  the other commands need not wait for it
    from cli.gateway_checks import look_at_gateway  # noqa: PLC0415  likewise

    if file := session.connection.exposed_file:
        advice = f"chmod 600 {file}; if others use this machine, have a new key made."
        yield Finding("profile", State.WARNING, f"others can read your key in {file}", advice)
    yield from look_at_gateway(session.api, webhook)
    aws = AwsSession(session.printer, stage)
    if not aws.known:
        yield Finding("aws", State.SKIPPED, "to look at table and queues, name a stage: doctor --stage STAGE")
        return
    from cli.aws_checks import look_at_aws  # noqa: PLC0415  boto3 takes half a second

    yield from look_at_aws(aws)


def _show(finding: Finding) -> None:
    from rich.text import Text  # noqa: PLC0415  with --json nobody needs it

    from cli.printer import console, printable  # noqa: PLC0415  likewise

    screen = console()
    mark = Text(f"{finding.state:<8}", style=_COLOURS[finding.state])
    screen.print(
        Text.assemble(mark, (printable(finding.what), "bold"), f"  {printable(finding.message)}"), soft_wrap=True
    )
    if finding.advice:
        screen.print(Text(f"{'':<8}→ {printable(finding.advice)}"), soft_wrap=True)
