"""The REST API in the template has a resource for each path of the routes, and API Gateway accepts them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from functions.routing import API_FUNCTIONS, DEFAULT_FUNCTION, ROUTES, function_for, module_of
from tests.infra.assembly import Assembly, assembly

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.timeout(300)  # the first test may have to synthesize


@pytest.fixture(scope="module")
def dev() -> Assembly:
    """Synthesize the stage `dev`."""
    return assembly("dev")


def resource_paths(dev: Assembly) -> dict[str, str]:
    """Return the path of each API Gateway resource, by logical id."""
    resources = {name: each["Properties"] for name, each in dev.resources("AWS::ApiGateway::Resource").items()}

    def path_of(name: str) -> str:
        parent = resources[name]["ParentId"].get("Ref")
        return f"{path_of(parent) if parent else ''}/{resources[name]['PathPart']}"

    return {name: path_of(name) for name in resources}


def methods(dev: Assembly) -> Iterator[tuple[str, str, str]]:
    """List method, path and function of every method in the template."""
    paths = resource_paths(dev)
    names = {f"{module_of(name)}.handler": name for name in API_FUNCTIONS}
    handlers: Mapping[str, str] = {
        logical_id: names[function["Properties"]["Handler"]]
        for logical_id, function in dev.resources("AWS::Lambda::Function").items()
        if function["Properties"]["Handler"] in names
    }
    for method in dev.resources("AWS::ApiGateway::Method").values():
        properties = method["Properties"]
        arn = next(part for part in properties["Integration"]["Uri"]["Fn::Join"][1] if "Fn::GetAtt" in part)
        path = paths.get(properties["ResourceId"].get("Ref", ""), "/")
        yield properties["HttpMethod"], path, handlers[arn["Fn::GetAtt"][0]]


def test_every_route_is_deployed(dev: Assembly) -> None:
    """Each path accepts all methods, so that its function responds to preflights and with 405."""
    deployed = set(methods(dev))
    expected = {("ANY", route.path, function_for(route.method, route.path)) for route in ROUTES}
    assert deployed == expected | {("ANY", "/", DEFAULT_FUNCTION), ("ANY", "/{proxy+}", DEFAULT_FUNCTION)}


def test_no_resource_has_two_variable_children(dev: Assembly) -> None:
    """API Gateway refuses a second path parameter below one resource, be it greedy or not."""
    children = defaultdict(list)
    for path in resource_paths(dev).values():
        parent, _, part = path.rpartition("/")
        if part.startswith("{"):
            children[parent].append(part)
    assert {parent: parts for parent, parts in children.items() if len(parts) > 1} == {}
    assert children[""] == ["{proxy+}"]


def test_a_greedy_parameter_is_the_end_of_its_path(dev: Assembly) -> None:
    """API Gateway accepts it nowhere else."""
    assert [path for path in resource_paths(dev).values() if "+}/" in path] == []
