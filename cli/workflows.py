"""`comfyui-gateway workflows`: list, show, add and remove workflows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import completion
from cli.add_workflow import add_workflow
from cli.command_app import CommandApp
from cli.exit_codes import CommandFailedError, ExitCode
from cli.gateway_session import with_gateway
from cli.questions import confirm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.gateway_session import GatewaySession
    from cli.printer import Printer

app = CommandApp(help="List, show, add and remove workflows.")

WorkflowId = Annotated[
    str, typer.Argument(metavar="WORKFLOW", help="Id of the workflow.", autocompletion=completion.workflow_ids)
]
_LARGE = 2**31
_MAX_VALUE_CHARACTERS = 60


@app.command("list")
@with_gateway
def list_workflows(session: GatewaySession) -> None:
    """List workflows.

    Examples:
      comfyui-gateway workflows list

    """
    found = session.api.workflows()
    if session.printer.as_json:
        session.printer.json(found)
        return
    rows = [(each["id"], str(each["version"]), each["name"]) for each in found["workflows"]]
    session.printer.table(("WORKFLOW", "VERSION", "NAME"), rows, unbroken=("WORKFLOW", "VERSION"))
    if not rows:
        session.printer.note("No workflows. Add one: comfyui-gateway workflows add FILE")


@app.command("show")
@with_gateway
def show_workflow(session: GatewaySession, workflow: WorkflowId) -> None:
    """Show a workflow and its inputs.

    With --json, show the graph and the schema as well.

    Examples:
      comfyui-gateway workflows show icon_512
      comfyui-gateway workflows show icon_512 --json | jq .workflowJson > icon_512.json

    """
    shown = session.api.workflow(workflow)
    if session.printer.as_json:
        session.printer.json(shown)
        return
    session.printer.fields(
        (
            ("workflow", shown["id"]),
            ("name", shown["name"]),
            ("description", shown["description"]),
            ("version", str(shown["version"])),
            ("updated", session.printer.local_time(shown["updatedAt"])),
        )
    )
    _print_inputs(session.printer, shown["inputSchema"])


app.command("add")(with_gateway(add_workflow))


@app.command("remove")
@with_gateway
def remove_workflow(
    session: GatewaySession,
    workflow: WorkflowId,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Remove a workflow.

    Jobs that were accepted before still run.

    Examples:
      comfyui-gateway workflows remove my_workflow --yes

    """
    if not yes and not confirm(f"Remove workflow {workflow}?"):
        raise CommandFailedError("Nothing was removed", ExitCode.REFUSED)
    session.api.remove_workflow(workflow)
    if session.printer.as_json:
        session.printer.json({"removed": workflow})
    else:
        session.printer.note(f"Removed {workflow}.")


def _print_inputs(printer: Printer, schema: Mapping[str, Any]) -> None:
    """Print the inputs of a schema: name, type, default and description."""
    properties = schema.get("properties")
    required = schema.get("required")
    for name, field in properties.items() if isinstance(properties, dict) else ():
        definition = field if isinstance(field, dict) else {}
        is_required = isinstance(required, list) and name in required
        default = "required" if is_required else _shortened(definition.get("default", "nothing"))
        description = str(definition.get("description", "")).strip()
        if not sys.stdout.isatty():
            printer.row(("input", name, _type(definition), default, description))
            continue
        printer.line("")
        printer.wrapped(
            f"{_type(definition)}, {default if is_required else f'default {default}'}",
            first=f"{name}  ",
            indent=4,
        )
        printer.wrapped(description, first="    ", indent=4)


def _type(field: Mapping[str, Any]) -> str:
    types = field.get("type", "any")
    text = "/".join(map(str, types)) if isinstance(types, list) else str(types)
    choices = field.get("enum")
    if isinstance(choices, list):
        shown = ", ".join(map(str, choices))
        return f"{text}, one of {shown}" if len(shown) <= _MAX_VALUE_CHARACTERS else f"{text}, one of {len(choices)}"
    low, high = field.get("minimum"), field.get("maximum")
    limits = f" from {low}" if low is not None else ""
    # The largest integers are no information for a reader.
    return text + limits + (f" to {high}" if isinstance(high, int | float) and high < _LARGE else "")


def _shortened(value: object) -> str:
    text = '""' if value == "" else str(value)
    return text if len(text) <= _MAX_VALUE_CHARACTERS else text[: _MAX_VALUE_CHARACTERS - 1] + "…"
