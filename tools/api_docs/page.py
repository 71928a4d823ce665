"""Render the OpenAPI document as one HTML page without scripts and external resources."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_VARIABLES = "export GATEWAY=https://gateway.example.com\nexport API_KEY=…"
_CONSTRAINTS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "maxLength": "at most {} characters",
    "maxProperties": "at most {} entries",
    "pattern": "{}",
    "default": "default {}",
}


def page(document: dict[str, Any]) -> str:
    """Render the page."""
    return _Page(document).html()


class _Page:
    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._schemas = document["components"]["schemas"]
        self._operations = [
            (path, method, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

    def html(self) -> str:
        info = self._document["info"]
        title = escape(info["title"])
        sections = "".join(self._section(tag) for tag in self._document["tags"])
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title} API</title>\n<style>{_STYLE}</style></head>\n<body>{self._navigation()}\n<main>"
            f"<h1>{title} API <small>{escape(info['version'])}</small></h1>\n{_prose(info['description'])}"
            '<p>The same reference for programs: <a href="openapi.json">openapi.json</a>. The commands below use '
            f"the address of your gateway and your API key:</p>\n{_code(_VARIABLES, 'command')}"
            f"{sections}{self._schema_section()}</main></body></html>\n"
        )

    def _navigation(self) -> str:
        groups = "".join(
            f"<div><p>{escape(tag['name'])}</p>{_list(_link(*each) for each in self._operations_of(tag))}</div>"
            for tag in self._document["tags"]
        )
        schemas = _list(f'<a href="#{name}">{name}</a>' for name in self._schemas)
        return f"<nav>{groups}<details><summary>Schemas</summary>{schemas}</details></nav>"

    def _operations_of(self, tag: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
        return [each for each in self._operations if tag["name"] in each[2]["tags"]]

    def _section(self, tag: dict[str, Any]) -> str:
        operations = "".join(self._operation(*each) for each in self._operations_of(tag))
        return f"\n<section><h2>{escape(tag['name'])}</h2>{_prose(tag['description'])}{operations}</section>"

    def _operation(self, path: str, method: str, operation: dict[str, Any]) -> str:
        parts = [
            f'\n<article id="{operation["operationId"]}"><h3>{escape(operation["summary"])}</h3>\n',
            f'<p class="call"><span class="method {method}">{method.upper()}</span> {escape(path)}</p>\n',
            _prose(operation["description"] + _access(operation)),
        ]
        # The introduction describes the parameters that every operation has.
        if parameters := [each for each in operation["parameters"] if "$ref" not in each]:
            parts.append(f"<h4>Parameters</h4>{_table(_parameter(each) for each in parameters)}")
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            parts.append(f"<h4>Body: {_type(schema)}</h4>{_fields(self._resolved(schema))}")
        parts.append(f"<h4>Example</h4>{_code(_command(path, method, operation), 'command')}")
        responses = {status: self._resolved(response) for status, response in operation["responses"].items()}
        succeeded = [_response(status, response) for status, response in responses.items() if status < "4"]
        errors = _table(_error(status, response) for status, response in responses.items() if status >= "4")
        parts.append(
            f"<h4>Responses</h4>{''.join(succeeded)}<details><summary>Errors</summary>{errors}</details></article>"
        )
        return "".join(parts)

    def _schema_section(self) -> str:
        schemas = "".join(
            f'\n<article id="{name}"><h3>{name}</h3>{_prose(schema.get("description", ""))}{_fields(schema)}</article>'
            for name, schema in self._schemas.items()
        )
        return f"\n<section><h2>Schemas</h2>{schemas}</section>"

    def _resolved(self, value: dict[str, Any]) -> dict[str, Any]:
        """Follow a reference within the document."""
        if "$ref" not in value:
            return value
        found: Any = self._document
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return dict(found)


def _link(path: str, method: str, operation: dict[str, Any]) -> str:
    call = f"{method.upper()} {path}"
    return f'<a href="#{operation["operationId"]}" title="{call}">{escape(operation["summary"])}</a>'


def _access(operation: dict[str, Any]) -> str:
    if "security" not in operation:
        return ""
    details = " Authenticated callers get more details." if operation["security"] else ""
    return f" No API key required.{details}"


def _parameter(parameter: dict[str, Any]) -> tuple[str, str]:
    where = f"in {parameter['in']}{'' if parameter['required'] else ', optional'}"
    return _name(parameter["name"], where), _line(parameter["description"]) + _dim(_type(parameter["schema"]))


def _fields(schema: dict[str, Any]) -> str:
    if "properties" not in schema:
        return f"<p>{_type(schema)}</p>"
    required = schema.get("required", ())
    return _table(
        (
            _name(name, "" if name in required else "optional"),
            _line(field.get("description", "")) + _dim(_type(field)),
        )
        for name, field in schema["properties"].items()
    )


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        markup = f'<a href="#{name}">{name}</a>'
    elif "anyOf" in schema:
        markup = " or ".join(_type(each) for each in schema["anyOf"])
    elif "enum" in schema:
        markup = " | ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    elif schema.get("type") == "array":
        markup = f"list of {_type(schema['items'])}"
    else:
        markup = escape(schema.get("format") or schema.get("contentEncoding") or schema.get("type") or "anything")
    constraints = [
        escape(text.format(schema[key])) for key, text in _CONSTRAINTS.items() if schema.get(key) is not None
    ]
    return ", ".join([markup, *constraints])


def _response(status: str, response: dict[str, Any]) -> str:
    content = dict(response.get("content", {}))
    as_json = content.pop("application/json", {})
    types = [_type(as_json["schema"])] if as_json.get("schema") else []
    types += [f"<code>{escape(media)}</code>" for media in content]
    markup = f"<p><b>{status}</b> {_line(response['description'])} {' or '.join(types)}</p>\n"
    if headers := [name for name in response["headers"] if not name.startswith("X-")]:
        markup += f"<p>Headers: {', '.join(f'<code>{name}</code>' for name in headers)}</p>\n"
    for name, example in as_json.get("examples", {}).items():
        text = json.dumps(example["value"], indent=2, ensure_ascii=False)
        markup += f"<details><summary>Example: {escape(name)}</summary>{_code(text)}</details>"
    return markup


def _error(status: str, response: dict[str, Any]) -> tuple[str, str]:
    codes = ", ".join(f"<code>{code}</code>" for code in response["content"]["application/json"]["examples"])
    return f"<b>{status}</b> {codes}", _line(response["description"])


def _command(path: str, method: str, operation: dict[str, Any]) -> str:
    for parameter in operation["parameters"]:
        if parameter.get("in") == "path":
            path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
    words = ["curl", f'"$GATEWAY{path}"']
    if ("requestBody" not in operation and method == "post") or method not in ("get", "post"):
        words += ["-X", method.upper()]
    if operation.get("security") != []:
        words += ["-H", '"X-API-Key: $API_KEY"']
    if "302" in operation["responses"]:
        words += ["-O"]  # not -L: that would send the API key to S3
    if "requestBody" in operation:
        example = operation["requestBody"]["content"]["application/json"]["example"]
        body = json.dumps(example, indent=2, ensure_ascii=False)
        words += ["-H", "'Content-Type: application/json'", "-d", f"'{body}'"]
    return " ".join(words)


def _prose(text: str) -> str:
    return "".join(f"<p>{_line(paragraph)}</p>\n" for paragraph in text.strip().split("\n\n") if paragraph)


def _line(text: str) -> str:
    """Render a line of Markdown; code and bold text are supported."""
    with_code = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
    return re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", with_code)


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "<table>\n" + "".join(f"<tr><th>{name}</th><td>{text}</td></tr>\n" for name, text in rows) + "</table>\n"


def _name(name: str, note: str) -> str:
    return f"<code>{escape(name)}</code>{_dim(note)}"


def _dim(markup: str) -> str:
    return f' <span class="dim">{markup}</span>' if markup else ""


def _code(text: str, css_class: str = "") -> str:
    return f'<pre class="{css_class}"><code>{escape(text, quote=False)}</code></pre>\n'
