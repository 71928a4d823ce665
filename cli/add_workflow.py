"""`comfyui-gateway workflows add`: registers a graph that ComfyUI exported as a workflow."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli.exit_codes import CommandFailedError, ExitCode
from cli.questions import confirm
from gateway.limits import MAX_REQUEST_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.gateway_session import GatewaySession
    from cli.workflow_proposal import Proposal

_MAX_VALUE_CHARACTERS = 48
_MAX_PROBLEMS = 5  # in the message


def add_workflow(  # noqa: PLR0913  a command's options
    session: GatewaySession,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Graph in API format: Workflow > Export (API).")],
    *,
    workflow_id: Annotated[str | None, typer.Option("--id", help="Id. Default: the name of the file.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name in lists. Default: the id.")] = None,
    description: Annotated[str | None, typer.Option(help="Description.")] = None,
    schema: Annotated[Path | None, typer.Option(help="File with the input schema. Default: a proposed one.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Add it as the next version of the workflow.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Register the proposal without confirmation.")] = False,
) -> None:
    """Register a workflow.

    Write {{name}} in the graph for each input, and describe the inputs in a schema. Without a schema, inputs such as
    prompt, seed, steps and size are detected in the graph, and proposed for confirmation. If you decline, or without
    a terminal, graph and schema are written to ID.workflow.json and ID.schema.json for you to edit.

    Examples:
      comfyui-gateway workflows add portrait.json --name "Portrait"
      comfyui-gateway workflows add portrait.workflow.json --schema portrait.schema.json --id portrait

    """
    graph = _read_object(file)
    _check_graph(graph, file)
    wanted_id = _checked_id(workflow_id) if workflow_id is not None else _id_from(file)
    body: dict[str, Any] = {"name": name or wanted_id, "workflowJson": graph}
    if description is not None:
        body["description"] = description
    if schema is not None:
        body["inputSchema"] = _read_object(schema)
    else:
        from cli.workflow_proposal import propose  # noqa: PLC0415  only needed without a schema

        proposal = propose(graph)
        _print_proposal(session, file, proposal)
        if not yes and not (sys.stdin.isatty() and confirm(f"Register {wanted_id} with these inputs?")):
            _write_for_review(session, wanted_id, name, proposal)
        body |= {"workflowJson": proposal.graph, "inputSchema": proposal.schema}
    if replace:
        added = session.api.change_workflow(wanted_id, body if name else {**body, "name": None})
    else:
        from cli.http_client import RefusedError  # noqa: PLC0415  `--help` does without it

        try:
            added = session.api.create_workflow({"id": wanted_id, **body})
        except RefusedError as error:
            if error.error_code == "CONFLICT":
                error.advice = "Add it as the next version with --replace."
            raise
    if session.printer.as_json:
        session.printer.json(added)
        return
    session.printer.note(f"Registered {added['id']}, version {added['version']}. Run it:")
    session.printer.line(_submit_command(added["id"], added["inputSchema"]))


def _read_object(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_REQUEST_BODY_BYTES + 1)
    except OSError as error:
        raise CommandFailedError(f"Cannot read {file}: {error.strerror}", ExitCode.NOT_FOUND) from None
    if len(content) > MAX_REQUEST_BODY_BYTES:
        raise CommandFailedError(f"{file} has more than {MAX_REQUEST_BODY_BYTES} bytes", ExitCode.REFUSED)
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise CommandFailedError(f"{file} is not JSON", ExitCode.REFUSED) from None
    if not isinstance(value, dict):
        raise CommandFailedError(f"{file} is not a JSON object", ExitCode.REFUSED)
    return value


def _check_graph(graph: Mapping[str, Any], file: Path) -> None:
    from gateway.domain.template import graph_problems  # noqa: PLC0415  `--help` does without it

    problems = graph_problems(graph)
    if problems:
        if isinstance(wrapped := graph.get("prompt"), dict) and not graph_problems(wrapped):
            message = f'{file} is a request to ComfyUI, with a graph in "prompt"'
            raise CommandFailedError(message, ExitCode.REFUSED, advice="Give a file with the graph alone.")
        shown = []
        for problem in problems[:_MAX_PROBLEMS]:
            path = problem.path.removeprefix("workflowJson").lstrip(".")
            shown.append(f"{path}: {problem.message}" if path else problem.message)
        more = f" (and {len(problems) - _MAX_PROBLEMS} more)" if len(problems) > _MAX_PROBLEMS else ""
        raise CommandFailedError(f"{file}: {'; '.join(shown)}{more}", ExitCode.REFUSED)


def _checked_id(text: str) -> str:
    from gateway.domain.workflow_id import ID_PATTERN  # noqa: PLC0415  `--help` does without it

    # It is used as the name of a file, too.
    if not ID_PATTERN.fullmatch(text):
        raise CommandFailedError("--id: must have letters, digits, - and _ only, at most 64", ExitCode.USAGE)
    return text


def _id_from(file: Path) -> str:
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", file.name.split(".")[0]).strip("_-")[:64]
    if not stem:
        raise CommandFailedError(
            "The name of the file has no characters for an id", ExitCode.USAGE, advice="Set one with --id."
        )
    return stem


def _print_proposal(session: GatewaySession, file: Path, proposal: Proposal) -> None:
    """Print the detected inputs, and their nodes."""
    if not proposal.inputs:
        session.printer.note(
            "No input was detected. Write {{name}} in the graph for each input, and describe it in a schema (--schema)."
        )
        return
    session.printer.note(f"Inputs in {file}:")
    for detected in proposal.inputs:
        targets = ", ".join(f"{_node(proposal, target.node_id)} {target.name}" for target in detected.targets)
        value = json.dumps(detected.value, ensure_ascii=False)
        was = (
            ""
            if detected.value is None
            else f": {value[:_MAX_VALUE_CHARACTERS]}{'…' if len(value) > _MAX_VALUE_CHARACTERS else ''}"
        )
        session.printer.note(f"  {detected.name:<16} {targets}{was}")
    if "prompt" not in proposal.schema["properties"]:
        session.printer.note("No prompt was detected. If there is one, write {{prompt}} in its place.")
    if required := proposal.schema["required"]:
        session.printer.note(
            f"Required in each job: {', '.join(required)}. The values above are the defaults of the others."
        )


def _node(proposal: Proposal, node_id: str) -> str:
    return f"{node_id} ({proposal.graph[node_id]['class_type']})"


def _write_for_review(session: GatewaySession, workflow_id: str, name: str | None, proposal: Proposal) -> NoReturn:
    """Write the proposal to files, print how to register it, and raise CommandFailedError: it is not registered yet."""
    contents = {"workflow": proposal.graph, "schema": proposal.schema}
    files = {kind: Path(f"{workflow_id}.{kind}.json") for kind in contents}
    for kind, file in files.items():
        try:
            with file.open("x", encoding="utf-8") as stream:
                stream.write(json.dumps(contents[kind], indent=2, ensure_ascii=False) + "\n")
        except FileExistsError:
            raise CommandFailedError(f"{file} already exists", ExitCode.REFUSED, advice="Move it away first.") from None
        except OSError as error:
            raise CommandFailedError(f"Cannot write {file}: {error.strerror}") from None
    if session.printer.as_json:
        session.printer.json({**{kind: str(file) for kind, file in files.items()}, "registered": False})
    else:
        named = f" --name '{name}'" if name else ""
        session.printer.line(
            f"comfyui-gateway workflows add {files['workflow']} --schema {files['schema']} --id {workflow_id}{named}"
        )
    raise CommandFailedError(
        f"{workflow_id} is not registered",
        ExitCode.REFUSED,
        advice=f"Check {files['workflow']} and {files['schema']}, then register them with --schema. "
        "Or register the proposal with --yes.",
    )


def _submit_command(workflow_id: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required")
    inputs = "".join(f" -i {name}=…" for name in required) if isinstance(required, list) else ""
    return f"comfyui-gateway submit {workflow_id}{inputs} --wait"
