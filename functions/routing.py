"""Which function serves which route. The deployment and local mode both route by this module."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from functions.api import routes as api

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from functions.http.routes import Route

# By package: each API surface has a package below functions/.
_SURFACES: Mapping[str, Sequence[Route]] = {"api": api.ROUTES}

ROUTES: tuple[Route, ...] = tuple(route for routes in _SURFACES.values() for route in routes)
# Serves all other paths, so that their 404 has the API's own error body.
DEFAULT_FUNCTION = "health"
API_FUNCTIONS = frozenset({DEFAULT_FUNCTION, *(route.function for route in ROUTES)})


def _module_of_each_function() -> Mapping[str, str]:
    modules: dict[str, str] = {}
    for package, routes in _SURFACES.items():
        for route in routes:
            module = f"functions.{package}.{route.function}"
            if modules.setdefault(route.function, module) != module:
                raise ValueError(f"Two surfaces declare routes of a function named {route.function}.")
    return modules


def module_of(function: str) -> str:
    """Return the module of a function; its Lambda entry point is `handler` there."""
    return _MODULES.get(function, f"functions.events.{function}")


def function_for(method: str, path: str) -> str:
    """Return the name of the function that serves a request, as API Gateway selects it.

    A method that the path has no route for belongs to the function of the path's first route, which responds 405.
    """
    routes = _ROUTES_BY_PATH.get(resource_for(path)[0], ())
    by_method = {route.method: route.function for route in routes}
    return by_method.get(method, routes[0].function if routes else DEFAULT_FUNCTION)


def resource_for(path: str) -> tuple[str, dict[str, str]]:
    """Return the API Gateway resource of a path (`/jobs/{jobId}`), and the values of its parameters."""
    path = path.rstrip("/") or "/"
    for resource, pattern in _PATTERNS:
        if match := pattern.fullmatch(path):
            return resource, match.groupdict()
    return ("/", {}) if path == "/" else ("/{proxy+}", {"proxy": path.removeprefix("/")})


def routes_by_path() -> dict[str, list[Route]]:
    """Group all routes by path."""
    by_path: dict[str, list[Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, []).append(route)
    return by_path


def _specificity(path: str) -> list[int]:
    # A literal segment is preferred to a parameter, and that to a greedy parameter.
    return [segment.startswith("{") + segment.endswith("+}") for segment in path.split("/")]


def _segment_pattern(segment: str) -> str:
    if segment.endswith("+}"):
        return f"(?P<{segment[1:-2]}>.+)"
    return f"(?P<{segment[1:-1]}>[^/]+)" if segment.startswith("{") else re.escape(segment)


_MODULES = _module_of_each_function()
_ROUTES_BY_PATH = routes_by_path()
_PATTERNS = [
    (path, re.compile("/".join(map(_segment_pattern, path.split("/")))))
    for path in sorted(_ROUTES_BY_PATH, key=_specificity)
]
