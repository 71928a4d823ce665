"""Settings, error codes, endpoints, commands and targets on the pages exist, and those that exist are on the pages."""

from __future__ import annotations

import ast
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
from typer.core import TyperGroup

from cli.main import app
from functions import routing
from gateway.errors import GatewayError, JobFailedError, RequestError
from gateway.settings import ApiSettings, BackgroundSettings, ExecutorSettings, LocalSettings
from infra.stage import Executors, Stage
from tests.docs.pages import ROOT, Page, all_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = all_pages()
SETTINGS = {
    name.upper()
    for host in (ApiSettings, BackgroundSettings, ExecutorSettings, LocalSettings)
    for name in host.model_fields
}
# Upper-case names that are not our settings: of AWS, the original gateway, shell examples, and items in the table.
OTHERS = {
    *("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"),
    *("DATABASE_URL", "REDIS_URL", "STORAGE_PROVIDER", "STORAGE_LOCAL_PATH", "NODE_ENV"),
    *(
        "API_KEY",
        "JOB_ID",
        "LONG_ID",
        "HOOKED_ID",
        "KEY_ID",
        "EXECUTOR_IP",
        "COMFYUI_VERSION",
        "MODELS_FOLDER",
        "END_OF_BLOCK",
    ),
    *("COMFYUI_GATEWAY_URL", "COMFYUI_GATEWAY_API_KEY", "COMFYUI_GATEWAY_TOKEN", "COMFYUI_GATEWAY_PROFILE"),
    *("NO_COLOR", "XDG_CONFIG_HOME"),
    *("ERROR_MESSAGE", "EXECUTOR_MODELS"),
}
CALL = re.compile(r"\b(GET|POST|PUT|DELETE|PATCH) (/[^\s`\"'?,;)]*)")
CURL = re.compile(r"curl ((?:[^\n\\]|\\\n|\\.)*)")
CURLED = re.compile(r"(?:\$GATEWAY|http://127\.0\.0\.1:3000)(/[^\s\"'?]*)")


def all_kinds(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    """Return every subclass of an error class, direct or not."""
    for child in kind.__subclasses__():
        yield from (child, *all_kinds(child))


REQUEST_CODES = {
    f"{kind.code} {kind.status}" for kind in all_kinds(RequestError) if issubclass(kind, RequestError) and kind.code
}
JOB_CODES = {kind.code for kind in all_kinds(JobFailedError) if issubclass(kind, JobFailedError)}
CODES = {text.split()[0] for text in REQUEST_CODES} | JOB_CODES | {"INTERNAL_ERROR"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_and_error_codes_exist(page: Page) -> None:
    """An upper-case name with an underscore is a setting, an error code, or one of a few others."""
    named = {name for code in page.code for name in re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", code)}
    assert named - SETTINGS - CODES - OTHERS == set()


def test_the_errors_page_has_exactly_the_codes_that_exist() -> None:
    """Each code of a request error is listed with its status."""
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    of_requests, _, of_jobs = text.partition("## Of jobs")
    rows = re.findall(r'^\| <a id="([a-z_]+)"></a>`([A-Z_]+)` \| (\d+)', of_requests, re.MULTILINE)
    assert {f"{code} {status}" for _, code, status in rows} == REQUEST_CODES | {"INTERNAL_ERROR 500"}
    job_rows = re.findall(r'^\| <a id="([a-z_]+)"></a>`([A-Z_]+)` \|', of_jobs, re.MULTILINE)
    assert {code for _, code in job_rows} == JOB_CODES
    assert all(row[0] == row[1].lower() for row in (*rows, *job_rows))


def route(path: str) -> str:
    """Replace every variable part of a path by `{}`."""
    variable = re.compile(r"\{[^}]*\}|\$[A-Z_]+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{4}…")
    steps = [step for step in variable.sub("{}", path).split("/") if step]
    first = steps[0] if steps else ""
    return "/" + "/".join(
        "{}" if position and first in ("workflows", "outputs") else step for position, step in enumerate(steps)
    )


ROUTES = {f"{operation.method} {route(operation.path)}" for operation in routing.ROUTES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_endpoints_exist(page: Page) -> None:
    """An endpoint is written as `GET /jobs/{id}`, with any name for the parameter."""
    named = {(method, path) for text in page.code for method, path in CALL.findall(text) if "hooks" not in path}
    named -= {("POST", "/prompt")}  # ComfyUI's
    assert {f"{method} {route(path)}" for method, path in named} - ROUTES == set()


def test_there_is_a_curl_for_every_endpoint() -> None:
    """docs/curl.md has a command for every route."""
    page = next(page for page in PAGES if page.name == "docs/curl.md")
    called = set()
    for block in page.blocks:
        for command in CURL.findall(block.text):
            method = re.search(r"-X ([A-Z]+)", command)
            used = method[1] if method else "POST" if re.search(r"-d '\{", command) else "GET"
            called |= {f"{used} {route(path)}" for path in CURLED.findall(command)}
    assert called == ROUTES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_curls_send_a_key_where_one_is_needed(page: Page) -> None:
    """The gateway of the tests needs no key, but the gateways of those who copy the commands do."""
    commands = [command for block in page.blocks for command in CURL.findall(block.text) if "$GATEWAY" in command]
    without = [command for command in commands if "X-API-Key" not in command]
    assert [c for c in without if not re.search(r"\$GATEWAY/(health|openapi\.json|docs)\b", c)] == []


ROOT_COMMAND = typer.main.get_group(app)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page: Page) -> None:
    """Each `comfyui-gateway …` is an existing command with existing options."""
    for text in page.code:
        for line in re.findall(r"comfyui-gateway((?: +[^\s|;&>)`]+)+)", text.replace("\\\n", " ")):
            command: Any = ROOT_COMMAND
            words = line.split()
            while words and isinstance(command, TyperGroup) and words[0] in command.commands:
                command = command.commands[words.pop(0)]
            assert not isinstance(command, TyperGroup) or not words or words[0].startswith("-") or words[0].isupper(), (
                line
            )
            known = {option for parameter in command.params for option in parameter.opts} | {
                "--help",
                "--install-completion",
            }
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page: Page) -> None:
    """Each `make …` is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {name for text in page.code for name in re.findall(r"\bmake ([a-z-]+)", text)} <= targets


RUNBOOKS = [page for page in PAGES if page.name.startswith("docs/runbooks/")]
QUOTING = [page for page in PAGES if page.name in ("docs/troubleshooting.md", "docs/how-jobs-end.md")]
OF_AWS = {"ConcurrentExecutions"}  # a metric


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Return every string of the product's code."""
    return [
        node.value
        for folder in ("gateway", "functions", "executor", "cli", "infra")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


@pytest.mark.parametrize("page", [*QUOTING, *RUNBOOKS], ids=lambda page: page.name)
def test_quoted_texts_exist(page: Page, texts: list[str]) -> None:
    """Italics quote a message, a saved query or a graph of the dashboard, so that readers can search for it."""
    quoted = set(re.findall(r"(?<![*`\w])\*([^*`]+)\*(?!\*)", re.sub(r"`[^`]*`", "", page.text)))
    assert {quote for quote in quoted - OF_AWS if not any(quote in text for text in texts)} == set()


@pytest.mark.parametrize("page", [*QUOTING[:1], *RUNBOOKS], ids=lambda page: page.name)
def test_log_actions_and_functions_exist(page: Page, texts: list[str]) -> None:
    """Names with underscores on the pages for operators are those in logs and code."""
    inline = [token.content for token in page.inline if token.type == "code_inline"]
    names = {name for code in inline for name in re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", code)}
    known = {word for text in texts for word in re.findall(r"\w+", text)} | set(Stage.model_fields)
    known |= set(Executors.model_fields)
    assert names - known == set()


def test_the_badges_are_true() -> None:
    """The README's badges name the license and the Python versions of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"badge/python-{project['requires-python'].removeprefix('>=')}%2B-" in readme
    assert f"badge/license-{project['license']}-" in readme


def test_files_that_the_architecture_page_names_exist() -> None:
    """A newcomer opens them."""
    page = next(page for page in PAGES if page.name == "docs/architecture.md")
    named = {code for code in page.code if re.fullmatch(r"[\w./-]+/|[\w./-]*/[\w.-]+\.\w+", code)}
    assert len(named) > 50
    assert {path for path in named if not (ROOT / path).exists()} == set()
