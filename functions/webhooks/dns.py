"""The addresses of a host by its name, within a time that the caller sets: the system's own look-up knows no limit."""

from __future__ import annotations

import queue
import socket
import threading
from typing import TYPE_CHECKING, Protocol

from gateway.errors import NameUnresolvedError

if TYPE_CHECKING:
    from collections.abc import Sequence

# That the name does not exist, or has no address. Anything else may be different a moment later.
_DEFINITE = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


class Resolver(Protocol):
    """What finds addresses."""

    def addresses(self, name: str, *, seconds: float) -> Sequence[str]:
        """Find all IPv4 and IPv6 addresses of a name, none when it has none.

        Raises NameUnresolvedError when that is not known in time.
        """


class SystemResolver:
    """The operating system's resolver."""

    def addresses(self, name: str, *, seconds: float) -> Sequence[str]:
        """Look a name up in a thread of its own, which is left behind when it takes too long."""
        found: queue.SimpleQueue[Sequence[str] | None] = queue.SimpleQueue()
        threading.Thread(target=lambda: found.put(_look_up(name)), daemon=True).start()
        try:
            addresses = found.get(timeout=seconds)
        except queue.Empty:
            addresses = None
        if addresses is None:
            raise NameUnresolvedError
        return addresses


def _look_up(name: str) -> Sequence[str] | None:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return [] if error.errno in _DEFINITE else None
    except (OSError, UnicodeError):
        return None
    return list(dict.fromkeys(str(address[0]) for _family, _type, _protocol, _canonical, address in found))
