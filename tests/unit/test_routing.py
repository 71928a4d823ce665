"""Routes to functions: `functions.routing` selects what API Gateway would select."""

from __future__ import annotations

import importlib

import pytest

from functions import routing
from functions.routing import API_FUNCTIONS, ROUTES, function_for, module_of


@pytest.mark.parametrize(
    ("path", "function"),
    [
        ("/jobs", "jobs"),
        ("/jobs/", "jobs"),
        ("/jobs/3f0c5f8e", "jobs"),
        ("/jobs/3f0c5f8e/logs", "jobs"),
        ("/outputs/3f0c5f8e", "outputs"),
        ("/outputs/3f0c5f8e/folder/image%20one.png", "outputs"),
        ("/webhooks/test", "webhook_test"),
        ("/openapi.json", "docs"),
        ("/openapi-json", "health"),
        ("/jobsx", "health"),
        ("/jobs/3f0c5f8e/unknown", "health"),
        ("/webhooks", "health"),
        ("/", "health"),
    ],
)
def test_a_path_is_served_by_the_function_of_its_route(path: str, function: str) -> None:
    """A trailing slash makes no difference, and a path without a route is served by the default function."""
    assert function_for("GET", path) == function


def test_a_method_without_a_route_is_served_by_the_function_of_the_path() -> None:
    """That function knows the methods for its 405."""
    assert {function_for(method, "/webhooks/test") for method in ("GET", "OPTIONS", "PATCH", "POST")} == {
        "webhook_test"
    }


def test_every_function_has_a_handler() -> None:
    """Each function of the table is a module of an API surface with an entry point."""
    assert all(callable(importlib.import_module(module_of(function)).handler) for function in API_FUNCTIONS)
    assert module_of("sweeper") == "functions.events.sweeper"


def test_routes_are_unique() -> None:
    """No two routes share an operation id, or a method and path."""
    assert len({route.operation_id for route in ROUTES}) == len(ROUTES)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


def test_a_literal_segment_is_preferred_to_a_parameter() -> None:
    """As in API Gateway, the order of the table does not matter."""
    paths = ["/a/{rest+}", "/a/{id}", "/a/b", "/{id}/b"]
    assert sorted(paths, key=routing._specificity) == ["/a/b", "/a/{id}", "/a/{rest+}", "/{id}/b"]
