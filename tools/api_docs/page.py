"""The API's document as one HTML page: no scripts, and nothing loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_VARIABLES = "export GATEWAY=https://gateway.example.com\nexport API_KEY=…"
_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "maxLength": "at most {} characters",
    "maxProperties": "at most {} entries",
    "pattern": "{}",
    "default": "{} if left out",
}


def page(document: dict[str, Any]) -> str:
    """Write the page."""
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
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title} API</title><style>{_STYLE}</style></head><body>{self._navigation()}<main>"
            f"<h1>{title} <small>{escape(info['version'])}</small></h1>{_prose(info['description'])}"
            '<p>The same for programs: <a href="openapi.json">openapi.json</a>. The commands below take the address '
            f"that this page comes from, and your key:</p>{_code(_VARIABLES, 'command')}"
            f"{sections}{self._schema_section()}</main></body></html>"
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
        return f"<section><h2>{escape(tag['name'])}</h2>{_prose(tag['description'])}{operations}</section>"

    def _operation(self, path: str, method: str, operation: dict[str, Any]) -> str:
        parts = [
            f'<article id="{operation["operationId"]}"><h3>{escape(operation["summary"])}</h3>',
            f'<p class="call"><span class="method {method}">{method.upper()}</span> {escape(path)}</p>',
            _prose(operation["description"] + _access(operation)),
        ]
        # What every operation has is in the introduction.
        if parameters := [each for each in operation["parameters"] if "$ref" not in each]:
            parts.append(f"<h4>Parameters</h4>{_table(_parameter(each) for each in parameters)}")
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            parts.append(f"<h4>Body: {_type(schema)}</h4>{_fields(self._resolved(schema))}")
        parts.append(f"<h4>Example</h4>{_code(_command(path, method, operation), 'command')}")
        answers = {status: self._resolved(answer) for status, answer in operation["responses"].items()}
        good = [_answer(status, answer) for status, answer in answers.items() if status < "4"]
        bad = _table(_error(status, answer) for status, answer in answers.items() if status >= "4")
        parts.append(f"<h4>Answers</h4>{''.join(good)}<details><summary>Errors</summary>{bad}</details></article>")
        return "".join(parts)

    def _schema_section(self) -> str:
        shown = "".join(
            f'<article id="{name}"><h3>{name}</h3>{_prose(schema.get("description", ""))}{_fields(schema)}</article>'
            for name, schema in self._schemas.items()
        )
        return f"<section><h2>Schemas</h2>{shown}</section>"

    def _resolved(self, thing: dict[str, Any]) -> dict[str, Any]:
        """Follow a reference within the document."""
        if "$ref" not in thing:
            return thing
        found: Any = self._document
        for step in thing["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return dict(found)


def _link(path: str, method: str, operation: dict[str, Any]) -> str:
    call = f"{method.upper()} {path}"
    return f'<a href="#{operation["operationId"]}" title="{call}">{escape(operation["summary"])}</a>'


def _access(operation: dict[str, Any]) -> str:
    if "security" not in operation:
        return ""
    return " No key is needed; with one there is more." if operation["security"] else " No key is needed."


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
        shown = f'<a href="#{name}">{name}</a>'
    elif "anyOf" in schema:
        shown = " or ".join(_type(each) for each in schema["anyOf"])
    elif "enum" in schema:
        shown = " | ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    elif schema.get("type") == "array":
        shown = f"list of {_type(schema['items'])}"
    else:
        shown = escape(schema.get("format") or schema.get("contentEncoding") or schema.get("type") or "anything")
    bounds = [escape(words.format(schema[key])) for key, words in _BOUNDS.items() if schema.get(key) is not None]
    return ", ".join([shown, *bounds])


def _answer(status: str, answer: dict[str, Any]) -> str:
    content = dict(answer.get("content", {}))
    in_json = content.pop("application/json", {})
    kinds = [_type(in_json["schema"])] if in_json.get("schema") else []
    kinds += [f"<code>{escape(media)}</code>" for media in content]
    shown = f"<p><b>{status}</b> {_line(answer['description'])} {' or '.join(kinds)}</p>"
    if headers := [name for name in answer["headers"] if not name.startswith("X-")]:
        shown += f"<p>Headers: {', '.join(f'<code>{name}</code>' for name in headers)}</p>"
    for name, example in in_json.get("examples", {}).items():
        text = json.dumps(example["value"], indent=2, ensure_ascii=False)
        shown += f"<details><summary>Example: {escape(name)}</summary>{_code(text)}</details>"
    return shown


def _error(status: str, answer: dict[str, Any]) -> tuple[str, str]:
    codes = ", ".join(f"<code>{code}</code>" for code in answer["content"]["application/json"]["examples"])
    return f"<b>{status}</b> {codes}", _line(answer["description"])


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
        words += ["-O"]
    if "requestBody" in operation:
        example = operation["requestBody"]["content"]["application/json"]["example"]
        body = json.dumps(example, indent=2, ensure_ascii=False)
        words += ["-H", "'Content-Type: application/json'", "-d", f"'{body}'"]
    return " ".join(words)


def _prose(text: str) -> str:
    return "".join(f"<p>{_line(paragraph)}</p>" for paragraph in text.strip().split("\n\n") if paragraph)


def _line(text: str) -> str:
    """Write a line of Markdown, of which only code and bold text are known."""
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
    return re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", marked)


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return f"<table>{''.join(f'<tr><th>{name}</th><td>{text}</td></tr>' for name, text in rows)}</table>"


def _name(name: str, more: str) -> str:
    return f"<code>{escape(name)}</code>{_dim(more)}"


def _dim(markup: str) -> str:
    return f' <span class="dim">{markup}</span>'


def _code(text: str, kind: str = "") -> str:
    return f'<pre class="{kind}"><code>{escape(text, quote=False)}</code></pre>'
