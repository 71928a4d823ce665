"""Resolve a host name within a time limit: the operating system's lookup has none."""

from __future__ import annotations

import queue
import socket
import threading
from typing import TYPE_CHECKING, Protocol

from gateway.errors import NameUnresolvedError

if TYPE_CHECKING:
    from collections.abc import Sequence

# The name does not exist, or has no address. Any other error can be gone a moment later.
_NO_ADDRESS_ERRORS = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


class Resolver(Protocol):
    """Resolves host names."""

    def addresses(self, name: str, *, seconds: float) -> Sequence[str]:
        """Return all IPv4 and IPv6 addresses of a name, none when it has none.

        Raises NameUnresolvedError when they are not known in time.
        """


class SystemResolver:
    """The operating system's resolver."""

    def addresses(self, name: str, *, seconds: float) -> Sequence[str]:
        """Resolve a name in a new thread, which is abandoned when it takes too long."""
        found: queue.SimpleQueue[Sequence[str] | None] = queue.SimpleQueue()
        threading.Thread(target=lambda: found.put(_resolve(name)), daemon=True).start()
        try:
            addresses = found.get(timeout=seconds)
        except queue.Empty:
            addresses = None
        if addresses is None:
            raise NameUnresolvedError
        return addresses


def _resolve(name: str) -> Sequence[str] | None:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return [] if error.errno in _NO_ADDRESS_ERRORS else None
    except (OSError, UnicodeError):
        return None
    return list(dict.fromkeys(str(address[0]) for _family, _type, _protocol, _canonical, address in found))
