"""What inputs of nodes can be on one ComfyUI, for an error to name what is near to what is missing.

Such an error is worth a few questions, and not a wait: whatever they come to, the graph stays refused.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gateway.errors import ComfyUIUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_MAX_SECONDS = 5.0  # for all classes of one graph
_GROUPS = ("required", "optional")


class AllowedValues:
    """Answers for one refused graph. `object_info` asks ComfyUI what it says of a class, within so many seconds."""

    def __init__(self, object_info: Callable[[str, float], Mapping[str, Any]]) -> None:
        self._object_info = object_info
        self._known: dict[str, Mapping[str, Any]] = {}
        self._until = time.monotonic() + _MAX_SECONDS

    def __call__(self, class_type: str, name: str) -> Sequence[str]:
        """List what an input of a class can be; nothing when that is not to be had."""
        if class_type not in self._known:
            self._known[class_type] = self._ask(class_type)
        return offered_by(self._known[class_type].get(name))

    def _ask(self, class_type: str) -> Mapping[str, Any]:
        """Read the declared inputs of a class, by their names."""
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            return {}
        try:
            said = self._object_info(class_type, seconds).get(class_type)
        except ComfyUIUnreachableError:
            return {}
        declared = said.get("input") if isinstance(said, dict) else None
        groups = [declared.get(group) for group in _GROUPS] if isinstance(declared, dict) else []
        return {name: config for group in groups if isinstance(group, dict) for name, config in group.items()}


def offered_by(input_config: object) -> list[str]:
    """List what an input can be, by ComfyUI's description of it: `[[names…], {…}]`, or `["COMBO", {"options": …}]`."""
    kind, options = (*input_config, None, None)[:2] if isinstance(input_config, list) else (None, None)
    names = options.get("options") if kind == "COMBO" and isinstance(options, dict) else kind
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
