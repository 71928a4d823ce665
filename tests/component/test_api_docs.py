"""`GET /openapi.json` and `GET /docs`: a valid, complete OpenAPI document, and a page that shows it."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import jsonschema_rs
import openapi_spec_validator
import pytest

from functions.api.static import DOCS_HTML, OPENAPI_JSON
from functions.routing import ROUTES
from gateway.errors import MethodNotAllowedError, RequestError
from tests.component.api import AwsGateway, aws_calls
from tests.component.contract import resolved, validator
from tools.api_docs.__main__ import docs_text, openapi_text
from tools.api_docs.document import document as api_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.component.api import Gateway


@pytest.fixture
def document(gateway: Gateway) -> dict[str, Any]:
    """Return the document from the API."""
    served: dict[str, Any] = gateway.anonymous.get("/openapi.json").json
    return served


def contents(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every JSON body in the document, with its schema and its examples."""
    for operations in document["paths"].values():
        for operation in operations.values():
            bodies = [operation["requestBody"]] if "requestBody" in operation else []
            for body in [*bodies, *map(resolved, operation["responses"].values())]:
                yield from [media for name, media in body.get("content", {}).items() if name == "application/json"]


def all_subclasses(kind: type[RequestError]) -> set[type[RequestError]]:
    """Return all subclasses of an error class."""
    return {found for child in kind.__subclasses__() for found in {child, *all_subclasses(child)}}


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    """The document is valid OpenAPI 3.1; its references resolve, and its operation ids are unique."""
    assert document["openapi"].startswith("3.1.")
    openapi_spec_validator.validate(document)


def test_the_document_passes_the_linter(document: dict[str, Any], tmp_path: Path) -> None:
    """Redocly's recommended rules, warnings included; `make test` installs it."""
    written = tmp_path / "openapi.json"
    written.write_text(json.dumps(document))
    node, redocly = Path(sys.executable).with_name("node"), Path(sys.prefix) / "redocly/node_modules/.bin/redocly"
    run = subprocess.run(  # noqa: S603  no input
        [node, redocly, "lint", written, "--extends=recommended-strict", "--format=json"],
        env={"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout, run.stderr
    assert json.loads(run.stdout)["problems"] == []


def test_every_error_is_documented(document: dict[str, Any]) -> None:
    """Each error class is a response of some operation."""
    kinds = all_subclasses(RequestError)
    documented = {
        example["value"]["error"]
        for media in contents(document)
        for example in media.get("examples", {}).values()
        if "error" in example["value"] and "correlationId" in example["value"]
    }
    assert documented == {"INTERNAL_ERROR", *(kind.code for kind in kinds - {MethodNotAllowedError})}
    assert MethodNotAllowedError.code in document["info"]["description"]


def test_every_example_is_valid(document: dict[str, Any]) -> None:
    """Examples of bodies and parameters are valid, and every body has one."""
    count = 0
    for media in contents(document):
        shown = [example["value"] for example in media.get("examples", {}).values()]
        shown += [media["example"]] if "example" in media else []
        assert shown or media["schema"] == {}
        for example in shown:
            count += 1
            assert [error.message for error in validator(json.dumps(media["schema"])).iter_errors(example)] == []
    assert count > 100
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in map(resolved, operation["parameters"]):
                assert parameter is not None
                if parameter["in"] == "path":
                    jsonschema_rs.validate(parameter["schema"], parameter["example"], validate_formats=True)


def test_schema_names_are_stable(document: dict[str, Any]) -> None:
    """Schema names never change, because clients generate classes from them."""
    names = """
        AuditAction AuditActor AuditEntry AuditList CancelAnswer Capabilities CutOutputs DeliveryAttempt DeliveryList
        DeliveryRequested DeliveryStatus Device Error ErrorDetails Executor ExecutorComfyUI Health Job JobAccepted
        JobCounts JobError JobFromCache JobList JobLog JobRequest JobStatus LogLevel LogLine ModelFolder Output
        OutputContent OutputList Priority Problem ReachedComfyUI Role Stats Timing WebhookBody WebhookOutcome
        WebhookState WebhookTestRequest WebhookTestResult Workflow WorkflowAnswer WorkflowChangeRequest WorkflowHead
        WorkflowList WorkflowRequest WorkflowSummary
    """
    schemas = document["components"]["schemas"]
    assert set(names.split()) <= set(schemas)
    assert [name for name, schema in schemas.items() if schema.get("title", name) != name] == []


def test_every_component_is_described_and_used(document: dict[str, Any]) -> None:
    """Every schema, field and tag has a description, and every component is used."""
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name
        for field, each in schema.get("properties", {}).items():
            of = resolved(each.get("items") or (each.get("anyOf") or [each])[0])
            assert each.get("description") or (of or {}).get("description") or "const" in each, (name, field)
    used = {tag for path in document["paths"].values() for each in path.values() for tag in each["tags"]}
    assert used == {tag["name"] for tag in document["tags"]}
    references = set(re.findall(r'"#/(components/\w+/[\w-]+)"', json.dumps(document)))
    components = {f"components/{kind}/{name}" for kind, named in document["components"].items() for name in named}
    assert components - references == {"components/securitySchemes/ApiKey", "components/securitySchemes/Jwt"}


class _Page(HTMLParser):
    """The ids, links and tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                assert value not in self.ids
                self.ids.add(value or "")
            if name in ("href", "src"):
                self.links.add(value or "")


def test_the_page_shows_every_operation_and_schema(gateway: Gateway, document: dict[str, Any]) -> None:
    """Each operation and each schema has an anchor and is linked."""
    response = gateway.anonymous.get("/docs")
    page = _Page(response.body.decode())
    text = html.unescape(response.body.decode())
    ids = {each["operationId"] for path in document["paths"].values() for each in path.values()}
    assert page.ids == ids | set(document["components"]["schemas"])
    assert {link.removeprefix("#") for link in page.links} == page.ids | {"openapi.json"}
    assert all(path in text and each["summary"] in text for path, p in document["paths"].items() for each in p.values())
    assert "None" not in text.replace("If-None-Match", "")


def test_the_page_has_no_scripts_and_no_external_resources(gateway: Gateway) -> None:
    """Its content security policy allows only the style sheet in the page."""
    response = gateway.anonymous.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert _Page(response.body.decode()).tags.isdisjoint({"script", "img", "link", "iframe", "form", "object"})
    policy = response.headers["content-security-policy"].split("; ")
    assert policy[0] == "default-src 'none'"
    assert [rule.split()[0] for rule in policy[1:]] == ["style-src", "base-uri", "form-action", "frame-ancestors"]


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_the_documentation_is_public_and_costs_one_call(aws_gateway: AwsGateway, path: str) -> None:
    """They need no key and ignore a wrong one; the only call to AWS counts the request."""
    first = aws_gateway.anonymous.get(path)
    assert first.status == 200
    assert aws_gateway.anonymous.get(path, {"X-API-Key": "wrong"}).body == first.body
    with aws_calls(aws_gateway.clients) as calls:
        again = aws_gateway.anonymous.get(path, {"If-None-Match": f'"other", {first.headers["etag"]}'})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert calls == ["dynamodb.UpdateItem"]
    assert aws_gateway.anonymous.get(path, {"If-None-Match": '"other"'}).status == 200


def test_the_server_is_relative_to_the_document(document: dict[str, Any]) -> None:
    """On API Gateway's own domain, the document is at /STAGE/openapi.json, and all paths start with /STAGE."""
    assert document["servers"] == [{"url": "."}]
    assert urljoin("https://api.example.com/prod/openapi.json", ".") == "https://api.example.com/prod/"


@pytest.mark.parametrize(("path", "text"), [(OPENAPI_JSON, openapi_text), (DOCS_HTML, docs_text)])
def test_the_generated_files_are_current(path: Path, text: Callable[[], str]) -> None:
    """The committed files are what `make docs` writes."""
    assert path.read_text(encoding="utf-8") == text(), "run `make docs`"


def test_a_route_without_texts_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A route without texts, or texts without a route, fail the build of the document."""
    monkeypatch.setattr("tools.api_docs.document.ROUTES", ROUTES[1:])
    with pytest.raises(ValueError, match=ROUTES[0].operation_id):
        api_document()


def test_functions_do_not_import_the_document_builder() -> None:
    """No function imports the document's builder or the types of JSON bodies: imports slow down cold starts."""
    code = (
        "import sys\n"
        "import functions.api.audit, functions.api.docs, functions.api.health, functions.api.jobs\n"
        "import functions.api.outputs, functions.api.stats, functions.api.workflows\n"
        "print([name for name in sys.modules if name.startswith(('tools', 'functions.api.responses',"
        " 'functions.rendering.job_json'))])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603  no input
    assert run.stdout == "[]\n"
