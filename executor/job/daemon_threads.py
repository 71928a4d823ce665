"""Do work in threads that neither their caller nor the end of the process waits for.

A call of a store can take a minute until it times out. A job that is canceled, lost or released continues at once.
"""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, TypeVar

from executor.comfyui.monitor import ExecutionStoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_POLL_SECONDS = 0.25


def map_in_threads(
    function: Callable[[_Item], _Result], items: Sequence[_Item], *, threads: int, must_stop: Callable[[], bool]
) -> list[_Result]:
    """Call the function with each item, in at most this many threads; return the results in the order of the items.

    Raises the first exception of a call, and ExecutionStoppedError as soon as `must_stop` returns True. No further
    calls begin then; those that have begun continue in their threads, and their results are dropped.
    """
    results: dict[int, _Result] = {}
    errors: list[BaseException] = []
    changed = threading.Condition()
    numbers = itertools.count()
    given_up = threading.Event()

    def work() -> None:
        while not given_up.is_set() and (number := next(numbers)) < len(items):
            try:
                result = function(items[number])
            except BaseException as error:  # noqa: BLE001  raised in the calling thread
                with changed:
                    errors.append(error)
                    changed.notify()
                return
            with changed:
                results[number] = result
                changed.notify()

    for _ in range(min(threads, len(items))):
        threading.Thread(target=work, name="storage", daemon=True).start()
    try:
        with changed:
            while len(results) < len(items):
                if errors:
                    raise errors[0]
                if must_stop():
                    raise ExecutionStoppedError("The job was stopped while a store was in use.")
                changed.wait(_POLL_SECONDS)
    finally:
        given_up.set()
    return [results[number] for number in range(len(items))]
