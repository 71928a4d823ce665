"""Faults that tests can inject while the simulator runs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfyui_simulator.types import JsonObject


@dataclass
class RequestFault:
    """What happens to requests whose path starts with `path`, the next `times` times.

    `status` is the HTTP status to return, or None to never respond.
    """

    path: str
    status: int | None
    times: int


class Faults:
    """One switch per fault; all are off at the start, and thread-safe.

    Users of gateways in front of ComfyUI have reported each of these failures.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests: list[RequestFault] = []
        """Requests that fail or never get a response."""
        self.silent_sockets = False
        """WebSockets stay open but send nothing, not even pongs, while HTTP works."""
        self.garbage_frames = False
        """Before each message, WebSockets send a text that is no JSON, one nested too deep, and a broken binary one."""
        self.lose_prompts = 0
        """How many of the next prompts vanish at their start: in neither queue nor history, without an event."""
        self.lose_interrupts = 0
        """How many of the next interrupts return 200 and are ignored."""
        self.worker_dead = False
        """The worker thread dies at its next step or node: prompts stay running or waiting, HTTP stays healthy."""
        self.worker_stuck = False
        """The worker hangs at its next step or node, without progress and beyond interrupts, until switched off."""

    def fail_requests(self, path: str, status: int | None = 500, times: int = 1) -> None:
        """Return `status` for the next requests whose path starts with `path`; never respond when it is None."""
        with self._lock:
            self.requests.append(RequestFault(path, status, times))

    def take_request_fault(self, path: str) -> RequestFault | None:
        """Return the fault for this request, if any, and count it."""
        with self._lock:
            for fault in self.requests:
                if fault.times > 0 and path.startswith(fault.path):
                    fault.times -= 1
                    return fault
        return None

    def take_lost_prompt(self) -> bool:
        """Return whether to lose the prompt that starts now, and count it."""
        with self._lock:
            self.lose_prompts = max(0, (before := self.lose_prompts) - 1)
            return before > 0

    def take_lost_interrupt(self) -> bool:
        """Return whether to lose this interrupt, and count it."""
        with self._lock:
            self.lose_interrupts = max(0, (before := self.lose_interrupts) - 1)
            return before > 0

    def update(self, switches: JsonObject) -> None:
        """Set switches from the JSON of the control endpoint; `requests` is a list of request faults.

        Raises ValueError when a switch does not exist, and TypeError when a value has the wrong type.
        """
        for name, value in switches.items():
            if name == "requests":
                names = {field.name for field in fields(RequestFault)}
                if any(set(fault) != names for fault in value):
                    raise ValueError(f"a request fault has the fields {sorted(names)}")
                self.requests = [RequestFault(**fault) for fault in value]
            elif name.startswith("_") or not isinstance(getattr(self, name, None), int):
                raise ValueError(f"no such fault: {name}")
            elif type(value) is not type(getattr(self, name)):
                raise TypeError(f"{name} must have the type of {getattr(self, name)}")
            else:
                setattr(self, name, value)
