"""Provides every transform by name; calling one raises an error."""

from collections.abc import Callable
from typing import NoReturn


def __getattr__(name: str) -> Callable[..., NoReturn]:
    if name.startswith("__"):
        raise AttributeError(name)

    def refuse(*_args: object, **_kwargs: object) -> NoReturn:
        raise RuntimeError(f"torchvision's {name} was called: the tests have only a stand-in for torchvision")

    return refuse
