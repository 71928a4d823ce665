"""Writes docs/http-api.md from the API's OpenAPI document: `make docs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.api_docs.document import document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PAGE = Path(__file__).parents[1] / "docs" / "http-api.md"
_HEAD = """\
# HTTP API

Every path, parameter, field and error of the API. `make docs` writes this page from the OpenAPI document that a gateway
serves as `GET /openapi.json`; `GET /docs` is the same as a page. [curl for every endpoint](curl.md) has commands.

"""
_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "maxLength": "at most {} characters",
    "maxProperties": "at most {} entries",
    "pattern": "`{}`",
    "default": "`{}` if left out",
}


def page_text() -> str:
    """Write the page."""
    return _HEAD + "\n\n".join(_parts(document("/"))) + "\n"


def _parts(whole: dict[str, Any]) -> Iterator[str]:
    yield whole["info"]["description"].strip()
    operations = [
        (path, method, operation) for path, methods in whole["paths"].items() for method, operation in methods.items()
    ]
    yield _table(
        ("call", ""),
        (
            (f"[`{method.upper()} {path}`](#{_anchor(operation['summary'])})", operation["summary"])
            for path, method, operation in operations
        ),
    )
    for tag in whole["tags"]:
        yield f"## {tag['name']}"
        yield tag["description"]
        for path, method, operation in operations:
            if tag["name"] in operation["tags"]:
                yield from _operation(path, method, operation, whole)
    yield "## Schemas"
    for name, schema in whole["components"]["schemas"].items():
        yield f"### {name}"
        if "description" in schema:
            yield " ".join(schema["description"].split())
        yield _fields(schema)


def _operation(path: str, method: str, operation: dict[str, Any], whole: dict[str, Any]) -> Iterator[str]:
    yield f"### {operation['summary']}"
    yield f"**`{method.upper()} {path}`**: {operation['description']}{_access(operation)}"
    # What every operation takes is in the introduction.
    if parameters := [each for each in operation["parameters"] if "$ref" not in each]:
        yield _table(("parameter", "", "type"), map(_parameter, parameters))
    if "requestBody" in operation:
        media = operation["requestBody"]["content"]["application/json"]
        yield f"Body: {_type(media['schema'])}, for example"
        yield _json(media["example"])
    answers = {status: _resolved(answer, whole) for status, answer in operation["responses"].items()}
    good = {status: answer for status, answer in answers.items() if status < "4"}
    yield _table(("answer", "", "body"), (_answer(status, answer) for status, answer in good.items()))
    yield f"Errors: {', '.join(_error(status, answer) for status, answer in answers.items() if status not in good)}."
    shown = [example for answer in good.values() for example in _examples(answer)]
    if shown:
        yield "<details><summary>Examples of answers</summary>"
        yield from map(_json, shown)
        yield "</details>"


def _access(operation: dict[str, Any]) -> str:
    if "security" not in operation:
        return ""
    return " No key is needed; with one there is more." if operation["security"] else " No key is needed."


def _parameter(parameter: dict[str, Any]) -> tuple[str, str, str]:
    where = "" if parameter["required"] else ", optional"
    return f"`{parameter['name']}` ({parameter['in']}{where})", parameter["description"], _type(parameter["schema"])


def _answer(status: str, answer: dict[str, Any]) -> tuple[str, str, str]:
    content = dict(answer.get("content", {}))
    in_json = content.pop("application/json", {})
    kinds = [_type(in_json["schema"])] if in_json.get("schema") else []
    headers = [f"`{name}`" for name in answer["headers"] if not name.startswith("X-")]
    allowed = f" With {', '.join(headers)}." if headers else ""
    return status, answer["description"] + allowed, " or ".join([*kinds, *(f"`{media}`" for media in content)])


def _error(status: str, answer: dict[str, Any]) -> str:
    codes = answer["content"]["application/json"]["examples"]
    return f"{status} {' or '.join(f'[`{code}`](errors.md#{code.lower()})' for code in codes)}"


def _examples(answer: dict[str, Any]) -> list[Any]:
    named = answer.get("content", {}).get("application/json", {}).get("examples", {})
    return [example["value"] for example in named.values()]


def _fields(schema: dict[str, Any]) -> str:
    if "properties" not in schema:
        return _type(schema)
    required = schema.get("required", ())
    return _table(
        ("field", "", "type"),
        (
            (f"`{name}`{'' if name in required else ', optional'}", field.get("description", ""), _type(field))
            for name, field in schema["properties"].items()
        ),
    )


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        shown = f"[{name}](#{_anchor(name)})"
    elif "anyOf" in schema:
        shown = " or ".join(map(_type, schema["anyOf"]))
    elif "enum" in schema:
        shown = ", ".join(f"`{each}`" for each in schema["enum"])
    elif schema.get("type") == "array":
        shown = f"list of {_type(schema['items'])}"
    else:
        shown = schema.get("format") or schema.get("contentEncoding") or schema.get("type") or "anything"
    bounds = [words.format(schema[key]) for key, words in _BOUNDS.items() if schema.get(key) is not None]
    return ", ".join([shown, *bounds])


def _resolved(answer: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    reference = answer.get("$ref")
    return whole["components"]["responses"][reference.rpartition("/")[2]] if reference else answer


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-").replace("'", "").replace(",", "")


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    written = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in written)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _json(value: object) -> str:
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```"


if __name__ == "__main__":
    PAGE.write_text(page_text(), encoding="utf-8")
