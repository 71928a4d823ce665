"""`comfyui-gateway list-workflows`, `show-workflow` and `remove-workflow`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exit_codes import CommandFailedError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.gateway_session import GatewaySession
    from cli.printer import Printer

WorkflowId = Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow's id.")]
_LARGE = 2**31
_MAX_SHOWN = 60  # characters of a value


def list_workflows(session: GatewaySession) -> None:
    """List what can be run.

    Try:

      comfyui-gateway list-workflows
    """
    found = session.api.workflows()
    if session.printer.as_json:
        session.printer.data(found)
        return
    rows = [(each["id"], str(each["version"]), each["name"]) for each in found["workflows"]]
    session.printer.table(("WORKFLOW", "VERSION", "NAME"), rows, whole=("WORKFLOW", "VERSION"))
    if not rows:
        session.printer.note("No workflows. Add one: comfyui-gateway add-workflow FILE")


def show_workflow(session: GatewaySession, workflow: WorkflowId) -> None:
    """Show what a workflow takes; with --json all of it, the graph included.

    Try:

      comfyui-gateway show-workflow icon_512

      comfyui-gateway show-workflow icon_512 --json | jq .workflowJson > icon_512.json
    """
    shown = session.api.workflow(workflow)
    if session.printer.as_json:
        session.printer.data(shown)
        return
    session.printer.fields(
        (
            ("workflow", shown["id"]),
            ("name", shown["name"]),
            ("description", shown["description"]),
            ("version", str(shown["version"])),
            ("updated", shown["updatedAt"]),
        )
    )
    _show_inputs(session.printer, shown["inputSchema"])


def _show_inputs(printer: Printer, schema: Mapping[str, Any]) -> None:
    """Show a schema's inputs: what each is called, of what kind it is, its default, what it is for."""
    properties = schema.get("properties")
    required = schema.get("required")
    for name, field in properties.items() if isinstance(properties, dict) else ():
        described = field if isinstance(field, dict) else {}
        is_required = isinstance(required, list) and name in required
        default = "required" if is_required else _short(described.get("default", "nothing"))
        what = str(described.get("description", "")).strip()
        if not sys.stdout.isatty():
            printer.row(("input", name, _kind(described), default, what))
            continue
        printer.line("")
        printer.wrapped(
            f"{_kind(described)}, {default if is_required else f'{default} unless you say'}",
            first=f"{name}  ",
            indent=4,
        )
        printer.wrapped(what, first="    ", indent=4)


def remove_workflow(
    session: GatewaySession,
    workflow: WorkflowId,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a workflow. Jobs that were accepted before still run.

    Try:

      comfyui-gateway remove-workflow my_workflow --yes
    """
    if not yes and not asked(f"Remove the workflow {workflow}?"):
        raise CommandFailedError("Nothing was removed", ExitCode.REFUSED)
    session.api.remove_workflow(workflow)
    if session.printer.as_json:
        session.printer.data({"removed": workflow})
    else:
        session.printer.note(f"Removed {workflow}.")


def asked(question: str) -> bool:
    """Ask a person. Raises CommandFailedError where there is none."""
    if not sys.stdin.isatty():
        raise CommandFailedError("There is no terminal to ask at: say --yes", ExitCode.USAGE)
    return typer.confirm(question, err=True)


def _kind(field: Mapping[str, Any]) -> str:
    kind = field.get("type", "any")
    text = "/".join(map(str, kind)) if isinstance(kind, list) else str(kind)
    choices = field.get("enum")
    if isinstance(choices, list):
        shown = ", ".join(map(str, choices))
        return f"{text}, one of {shown}" if len(shown) <= _MAX_SHOWN else f"{text}, one of {len(choices)}"
    low, high = field.get("minimum"), field.get("maximum")
    bounds = f" from {low}" if low is not None else ""
    # The largest integers that there are tell a reader nothing.
    return text + bounds + (f" to {high}" if isinstance(high, int | float) and high < _LARGE else "")


def _short(value: object) -> str:
    text = '""' if value == "" else str(value)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"
