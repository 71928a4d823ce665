"""No module imports itself through others."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import grimp

PACKAGES = (
    "gateway", "functions", "executor", "infra", "local", "comfyui_simulator", "cli", "tools", "testing", "workflows",
)  # fmt: skip


def imports() -> dict[str, set[str]]:
    """Return what each module of the product imports, including imports for type checkers."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    return {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def test_no_imports_form_a_circle() -> None:
    """Imports under TYPE_CHECKING count: a reader follows them as well."""
    graph = imports()
    assert len(graph) > 200
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None
