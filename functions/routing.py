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


def module_of(function: str) -> str:
    """Return the module of a function; its Lambda entry point is `handler` there."""
    packages = (name for name, routes in _SURFACES.items() if function in {route.function for route in routes})
    return f"functions.{next(packages, 'events')}.{function}"


def function_for(method: str, path: str) -> str:
    """Return the name of the function that serves a request, as API Gateway selects it.

    A method that the path has no route for belongs to the function of the path's first route, which responds 405.
    """
    routes = next((routes for pattern, routes in _PATTERNS if pattern.fullmatch(path.rstrip("/"))), ())
    by_method = {route.method: route.function for route in routes}
    return by_method.get(method, routes[0].function if routes else DEFAULT_FUNCTION)


def routes_by_path() -> dict[str, list[Route]]:
    """Group all routes by path."""
    by_path: dict[str, list[Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, []).append(route)
    return by_path


def _specificity(path: str) -> list[int]:
    # A literal segment is preferred to a parameter, and that to a greedy parameter.
    return [segment.startswith("{") + segment.endswith("+}") for segment in path.split("/")]


def _pattern(path: str) -> re.Pattern[str]:
    parts = [
        re.escape(segment) if not segment.startswith("{") else ".+" if segment.endswith("+}") else "[^/]+"
        for segment in path.split("/")
    ]
    return re.compile("/".join(parts))


_PATTERNS = [
    (_pattern(path), routes)
    for path, routes in sorted(routes_by_path().items(), key=lambda path_and_routes: _specificity(path_and_routes[0]))
]
