"""A workflow: a named, versioned template with an input schema."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gateway.domain import input_schema, inputs, loader_inputs, template
from gateway.errors import Problem, RequestInvalidError
from gateway.limits import MAX_DEFAULT_PARAMS

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping
    from datetime import datetime

    import jsonschema_rs


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowHead:
    """The fields of a workflow that lists show, and the key of its template."""

    id: str
    name: str
    description: str
    version: int
    created_at: datetime
    updated_at: datetime
    template_key: str  # of its template in the bucket; a template that does not change keeps its key


@dataclass(frozen=True)
class WorkflowTemplate:
    """The graph, schema and default parameters of one version. Created by `register`, which validates them."""

    graph: Mapping[str, Any]
    input_schema: Mapping[str, Any]
    default_params: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def _validator(self) -> jsonschema_rs.Draft202012Validator:
        return input_schema.compile_schema(self.input_schema)

    @cached_property
    def _tokens(self) -> set[str]:
        return template.token_names(self.graph)

    @cached_property
    def loads_host_files(self) -> bool:
        """Whether a node loads a file of ComfyUI's host by its name. Another file can have that name later."""
        return next(loader_inputs.loader_inputs(self.graph), None) is not None

    @cached_property
    def _file_parts(self) -> dict[tuple[str, bool], str]:
        """What names a file and is not limited to listed values: token, whether it is the whole name, and the input."""
        properties = self.input_schema.get("properties", {})
        return {
            (name, template.is_token(each.value) and each.place == each.loader): str(each.loader)
            for each in loader_inputs.file_names(self.graph)
            if isinstance(each.value, str)
            for name in template.names_in(each.value)
            if not input_schema.lists_values(self.input_schema, properties.get(name))
        }

    @classmethod
    def register(
        cls, graph: Mapping[str, Any], schema: Mapping[str, Any] | None, default_params: Mapping[str, Any] | None
    ) -> WorkflowTemplate:
        """Validate a template from outside. Raises RequestInvalidError with all problems."""
        full_schema, problems = input_schema.normalize(schema or {"properties": {}})
        if not problems:
            problems = _default_problems(full_schema)
        params = dict(default_params or {})
        problems += _params_problems(params)
        graph_problems = template.graph_problems(graph)
        problems += graph_problems
        # A graph that is rejected as a whole may be too large to search; a rejected schema names no inputs.
        if full_schema and not any(problem.path == "workflowJson" for problem in graph_problems):
            properties = full_schema.get("properties", {})
            known = {*(properties if isinstance(properties, dict) else ()), *params}
            problems += [
                Problem("workflowJson", f"Token {{{{{name}}}}} is in neither inputSchema nor defaultParams.")
                for name in sorted(template.token_names(graph) - known)
            ]
        if not problems:
            problems = _loader_problems(graph, full_schema)
        if problems:
            raise RequestInvalidError(problems)
        return cls(graph=graph, input_schema=full_schema, default_params=params)

    def values(
        self,
        given: Mapping[str, Any],
        params: Mapping[str, Any],
        limits: inputs.Limits | None,
        *,
        drawn_seed: int | None = None,
    ) -> inputs.Values:
        """Validate and complete a caller's inputs. Raises RequestInvalidError with all problems. See inputs.resolve."""
        return inputs.resolve(
            inputs=given,
            params=params,
            schema=self.input_schema,
            validator=self._validator,
            default_params=self.default_params,
            limits=limits,
            drawn_seed=drawn_seed,
        )

    def render(self, values: inputs.Values) -> dict[str, Any]:
        """Render the prompt.

        Raises RequestInvalidError for tokens of optional inputs that have no value, and for values that name a file
        outside the folder that a node loads from.
        """
        merged = values.merged
        missing = sorted(self._tokens - merged.keys())
        if missing:
            raise RequestInvalidError(
                [Problem(f"inputs.{name}", "Required by the workflow: it has no default.") for name in missing]
            )
        if problems := self._file_name_problems(values):
            raise RequestInvalidError(problems)
        return template.render(self.graph, merged)

    def rendered_bytes(self, values: inputs.Values) -> int:
        """Return how large the prompt's JSON will be, without rendering it: a graph can repeat one value many times."""
        merged = values.merged
        return self._bytes_without_values + sum(
            count * template.rendered_bytes(merged[name], whole=whole)
            for (name, whole), count in self._token_counts.items()
            if name in merged
        )

    @cached_property
    def _token_counts(self) -> Counter[tuple[str, bool]]:
        return template.token_counts(self.graph)

    @cached_property
    def _bytes_without_values(self) -> int:
        empty = template.render(self.graph, dict.fromkeys(self._tokens, ""))
        quotes = sum(2 * count for (_, whole), count in self._token_counts.items() if whole)
        return len(template.compact_json(empty).encode()) - quotes

    def _file_name_problems(self, values: inputs.Values) -> list[Problem]:
        """List values from a caller that name files they may not. Templates of older versions have free texts there."""
        by_author = {**self.default_params, **inputs.defaults(self.input_schema.get("properties", {}))}
        merged = values.merged
        unfit = {
            name: loader
            for (name, whole), loader in self._file_parts.items()
            if isinstance(value := merged[name], str)
            and (name not in by_author or value != by_author[name])
            and not loader_inputs.is_allowed_name(value, whole=whole)
        }
        return [
            Problem(
                f"{'inputs' if name in values.inputs else 'params'}.{name}",
                f"Goes into {loader}, which loads a file by its name. It cannot contain an absolute path, '..', a "
                "backslash, NUL, [output], [temp] or [input].",
            )
            for name, loader in sorted(unfit.items())
        ]

    def to_json(self) -> str:
        """Serialize for storage."""
        return json.dumps(
            {"workflowJson": self.graph, "inputSchema": self.input_schema, "defaultParams": self.default_params},
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> WorkflowTemplate:
        """Parse the result of `to_json`."""
        stored = json.loads(text)
        return cls(
            graph=stored["workflowJson"], input_schema=stored["inputSchema"], default_params=stored["defaultParams"]
        )


def fingerprint(head: WorkflowHead, template: WorkflowTemplate) -> str:
    """Return a hash that identifies a version of a workflow and copies of it: SHA-256, in hex.

    It is of the canonical JSON (sorted keys, no spaces, ASCII) of the response to `GET /workflows/{id}` without times,
    so that callers can compute it.
    """
    content = {
        "id": head.id,
        "name": head.name,
        "description": head.description,
        "version": head.version,
        "workflowJson": template.graph,
        "inputSchema": template.input_schema,
        "defaultParams": template.default_params,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _default_problems(schema: Mapping[str, Any]) -> list[Problem]:
    """List the defaults that do not match their own schema: no job could use them."""
    given = inputs.defaults(schema.get("properties", {}))
    problems = [
        Problem(f"inputSchema.properties.{name}.default", "Must be a string, a number, a boolean or null.")
        for name, value in given.items()
        if not template.is_scalar(value)
    ]
    if given.get("seed") == inputs.RANDOM_SEED:
        del given["seed"]  # is replaced by a number in the range
    # A rule for all inputs together, such as `required`, is not about a default: its error has no path.
    return problems + [
        Problem(f"inputSchema.properties.{error.instance_path[0]}.default", str(error.message)[:300])
        for error in input_schema.compile_schema(schema).iter_errors(given)
        if error.instance_path
    ]


def _loader_problems(graph: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Problem]:
    """List the tokens that would let callers name any file on ComfyUI's host."""
    properties = schema.get("properties", {})
    free = {
        (each.loader, each.place, name)
        for each in loader_inputs.file_names(graph)
        if isinstance(each.value, str)
        for name in template.names_in(each.value)
        if not input_schema.lists_values(schema, properties.get(name))
    }
    return [
        Problem(
            f"workflowJson.{place.node_id}.inputs.{place.name}",
            (
                f"{{{{{name}}}}} goes into {loader}"
                if place == loader
                else f"{{{{{name}}}}} reaches {loader} of node '{loader.node_id}' by a link"
            )
            + ", which names a file on ComfyUI's host. "
            "List the allowed values as an enum in inputSchema, or write the name into the graph.",
        )
        for loader, place, name in sorted(free, key=str)
    ]


def _params_problems(params: Mapping[str, Any]) -> list[Problem]:
    if len(params) > MAX_DEFAULT_PARAMS:
        return [Problem("defaultParams", f"More than {MAX_DEFAULT_PARAMS} parameters.")]
    return [
        Problem(f"defaultParams.{name}", "Must be a string, a number, a boolean or null.")
        for name, value in params.items()
        if not template.is_scalar(value) or not template.is_json_number(value)
    ]
