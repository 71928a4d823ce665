"""What can be made to go wrong while the simulator runs."""

import threading
from dataclasses import dataclass, fields

from comfyui_simulator.types import JsonObject


@dataclass
class RequestFault:
    """What happens to requests whose path starts with `path`, the next `times` times.

    `status` is the HTTP status to answer, or None to never answer at all.
    """

    path: str
    status: int | None
    times: int


class Faults:
    """Switches that break one thing each; all off at the start, and safe to flip from any thread.

    Each stands for a failure seen in the field, by users of gateways in front of ComfyUI.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests: list[RequestFault] = []
        """Requests to fail or to leave without an answer."""
        self.silent_sockets = False
        """WebSockets stay open but say nothing, not even to pings, while HTTP works."""
        self.garbage_frames = False
        """Before each message, WebSockets carry a text that is no JSON, one too deep, and a broken binary one."""
        self.lose_prompts = 0
        """How many of the next prompts vanish at their start: in neither queue nor history, without an event."""
        self.lose_interrupts = 0
        """How many of the next interrupts are answered 200 and ignored."""
        self.worker_dead = False
        """The worker thread dies at its next step or node: prompts stay running or waiting, HTTP stays healthy."""
        self.worker_stuck = False
        """The worker hangs at its next step or node, without progress and beyond interrupts, until switched off."""

    def fail_requests(self, path: str, status: int | None = 500, times: int = 1) -> None:
        """Answer the next requests whose path starts with `path` with `status`, or never when it is None."""
        with self._lock:
            self.requests.append(RequestFault(path, status, times))

    def take_request_fault(self, path: str) -> RequestFault | None:
        """Return the fault that this request has to suffer, and count it."""
        with self._lock:
            for fault in self.requests:
                if fault.times > 0 and path.startswith(fault.path):
                    fault.times -= 1
                    return fault
        return None

    def take_lost_prompt(self) -> bool:
        """Tell whether the prompt that starts now is to be lost, and count it."""
        with self._lock:
            self.lose_prompts = max(0, (before := self.lose_prompts) - 1)
            return before > 0

    def take_lost_interrupt(self) -> bool:
        """Tell whether this interrupt is to be lost, and count it."""
        with self._lock:
            self.lose_interrupts = max(0, (before := self.lose_interrupts) - 1)
            return before > 0

    def update(self, switches: JsonObject) -> None:
        """Set switches from JSON, as the control endpoint gets them; `requests` is a list of request faults.

        Raises:
            ValueError: a switch does not exist.
            TypeError: a value is of the wrong type.

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
                raise TypeError(f"{name} takes a value like {getattr(self, name)}")
            else:
                setattr(self, name, value)
