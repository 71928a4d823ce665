"""Options that many commands share, and how they are added to a command's signature."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    OptionTable = Mapping[str, tuple[Any, Any]]  # parameter name → (annotation, default)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
JSON: tuple[Any, Any] = (JsonOption, False)
API_KEY_HELP = "API key. Prefer COMFYUI_GATEWAY_API_KEY: command lines are visible to other users."


def with_options(
    command: Callable[..., None],
    options: OptionTable,
    run: Callable[[dict[str, Any], dict[str, Any]], None],
) -> Callable[..., None]:
    """Replace a command's first parameter by options.

    Typer reads a command's signature and annotations: both are built as if the command had these parameters itself.
    `run` is called with the values of the options, and with those of the command's own parameters.
    """

    @wraps(command)
    def wrapper(**values: Any) -> None:  # noqa: ANN401  whatever the command takes
        shared = {name: values.pop(name) for name in options}
        run(shared, values)

    first, *own = inspect.signature(command).parameters.values()
    annotations = {name: kind for name, kind in command.__annotations__.items() if name != first.name}
    wrapper.__annotations__ = annotations | {name: annotation for name, (annotation, _) in options.items()}
    hints = get_type_hints(wrapper, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        *own,
        *(inspect.Parameter(name, keyword, default=default) for name, (_, default) in options.items()),
    ]
    wrapper.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # inspect reads it there
        [each.replace(kind=keyword, annotation=hints[each.name]) for each in parameters]
    )
    return wrapper
