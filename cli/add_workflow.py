"""`comfyui-gateway add-workflow`: a graph as ComfyUI exports it becomes a workflow."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli.exit_codes import CommandFailedError, ExitCode
from cli.workflows import asked
from gateway.limits import MAX_REQUEST_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.gateway_session import GatewaySession
    from cli.workflow_proposal import Proposal

_MAX_SHOWN = 48  # characters of a value


def add_workflow(  # noqa: PLR0913  a command's options
    session: GatewaySession,
    file: Annotated[Path, typer.Argument(help="The graph, in ComfyUI's API format: Workflow > Export (API).")],
    *,
    workflow_id: Annotated[str | None, typer.Option("--id", help="Its id; else the file's name.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="What lists show; else the id.")] = None,
    description: Annotated[str | None, typer.Option(help="What it makes.")] = None,
    schema: Annotated[Path | None, typer.Option(help="Its input schema; without, one is proposed.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Make it the next version of the one there is.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Register what is proposed, without asking.")] = False,
) -> None:
    """Register a workflow.

    The graph has {{name}} where an input goes, and the schema says what inputs there are. Without a schema, prompts,
    seed, steps, size and so on are looked for in the graph, and shown. Then it asks; if you say no, or where there is
    no terminal, graph and schema are written to ID.workflow.json and ID.schema.json for you to look at and change.

    Try:

      comfyui-gateway add-workflow portrait.json --name "Portrait"

      comfyui-gateway add-workflow portrait.workflow.json --schema portrait.schema.json --id portrait
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
        from cli.workflow_proposal import propose  # noqa: PLC0415  with a schema there is nothing to propose

        proposal = propose(graph)
        _show(session, file, proposal)
        if not yes and not (sys.stdin.isatty() and asked(f"Register {wanted_id} so?")):
            _write_for_review(session, wanted_id, name, proposal)
        body |= {"workflowJson": proposal.graph, "inputSchema": proposal.schema}
    if replace:
        added = session.api.change_workflow(wanted_id, body if name else {**body, "name": None})
    else:
        added = session.api.create_workflow({"id": wanted_id, **body})
    if session.printer.as_json:
        session.printer.data(added)
        return
    session.printer.note(f"{added['id']} is there, version {added['version']}. Run it:")
    session.printer.line(_example(added["id"], added["inputSchema"]))


def _read_object(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_REQUEST_BODY_BYTES + 1)
    except OSError as error:
        raise CommandFailedError(f"Cannot read {file}: {error.strerror}", ExitCode.NOT_FOUND) from None
    if len(content) > MAX_REQUEST_BODY_BYTES:
        raise CommandFailedError(
            f"{file} has more than {MAX_REQUEST_BODY_BYTES} bytes, the most a gateway accepts",
            ExitCode.REFUSED,
        )
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise CommandFailedError(f"{file} is not JSON", ExitCode.REFUSED) from None
    if not isinstance(value, dict):
        raise CommandFailedError(f"{file} holds no JSON object", ExitCode.REFUSED)
    return value


def _check_graph(graph: Mapping[str, Any], file: Path) -> None:
    from gateway.domain.template import graph_problems  # noqa: PLC0415  `--help` need not wait for it

    problems = graph_problems(graph)
    if problems:
        if isinstance(wrapped := graph.get("prompt"), dict) and not graph_problems(wrapped):
            message = f'{file} is a request to ComfyUI: give the graph in it, what stands under "prompt"'
            raise CommandFailedError(message, ExitCode.REFUSED)
        places = (p.path.removeprefix("workflowJson").lstrip(".") for p in problems[:5])
        said = "; ".join(
            f"{place}: {p.message}" if place else p.message for place, p in zip(places, problems, strict=False)
        )
        more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""  # noqa: PLR2004  as above
        raise CommandFailedError(f"{file}: {said}{more}", ExitCode.REFUSED)


def _checked_id(text: str) -> str:
    from gateway.domain.workflow_id import ID_PATTERN  # noqa: PLC0415  `--help` need not wait for it

    # It becomes a file's name, too.
    if not ID_PATTERN.fullmatch(text):
        raise CommandFailedError("--id: has letters, digits, - and _ only, 64 at most", ExitCode.USAGE)
    return text


def _id_from(file: Path) -> str:
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", file.name.split(".")[0]).strip("_-")[:64]
    if not stem:
        raise CommandFailedError("The file's name makes no id: give one with --id", ExitCode.USAGE)
    return stem


def _show(session: GatewaySession, file: Path, proposal: Proposal) -> None:
    """Tell what was found, and where."""
    if not proposal.findings:
        session.printer.note(
            "No input was found. Write {{name}} in the graph where one goes, and describe it in a schema (--schema)."
        )
        return
    session.printer.note(f"Inputs in {file}:")
    for finding in proposal.findings:
        places = ", ".join(f"{_node(proposal, place.node_id)} {place.name}" for place in finding.places)
        value = json.dumps(finding.value, ensure_ascii=False)
        was = "" if finding.value is None else f": {value[:_MAX_SHOWN]}{'…' if len(value) > _MAX_SHOWN else ''}"
        session.printer.note(f"  {finding.name:<16} {places}{was}")
    if "prompt" not in proposal.schema["properties"]:
        session.printer.note("No prompt was found: if there is one, write {{prompt}} in its place.")
    if required := proposal.schema["required"]:
        session.printer.note(f"Jobs have to send: {', '.join(required)}. The others are as above unless a job says.")


def _node(proposal: Proposal, node_id: str) -> str:
    return f"{node_id} ({proposal.graph[node_id]['class_type']})"


def _write_for_review(session: GatewaySession, workflow_id: str, name: str | None, proposal: Proposal) -> NoReturn:
    """Write what was found, say how to register it, and raise CommandFailedError: no script may take it for done."""
    contents = {"workflow": proposal.graph, "schema": proposal.schema}
    files = {kind: Path(f"{workflow_id}.{kind}.json") for kind in contents}
    for kind, file in files.items():
        try:
            with file.open("x", encoding="utf-8") as stream:
                stream.write(json.dumps(contents[kind], indent=2, ensure_ascii=False) + "\n")
        except FileExistsError:
            raise CommandFailedError(f"{file} is there already; move it away first", ExitCode.REFUSED) from None
        except OSError as error:
            raise CommandFailedError(f"Cannot write {file}: {error.strerror}") from None
    if session.printer.as_json:
        session.printer.data({**{kind: str(file) for kind, file in files.items()}, "registered": False})
    else:
        named = f" --name '{name}'" if name else ""
        session.printer.line(
            f"comfyui-gateway add-workflow {files['workflow']} --schema {files['schema']} --id {workflow_id}{named}"
        )
    raise CommandFailedError(
        f"{workflow_id} is not registered. Look at {files['workflow']} and {files['schema']}, change them, "
        "and register them with --schema; --yes registers what is found at once",
        ExitCode.REFUSED,
    )


def _example(workflow_id: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required")
    inputs = "".join(f" -i {name}=…" for name in required) if isinstance(required, list) else ""
    return f"comfyui-gateway submit {workflow_id}{inputs} --wait"
