"""Where webhooks may go: only to hosts that the operator allows, and only to public addresses of these.

A URL is parsed here and nowhere else, by a grammar that is stricter than any client's: what one program takes for the
host and another for a user name is rejected. The addresses of a host are checked twice: when a job is accepted, and at
each delivery, which then connects to the address that was checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from gateway.errors import CallbackRefusedError
from gateway.limits import MAX_CALLBACK_URL_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

# RFC 3986, without user information and fragment. Hosts in other scripts have an ASCII form (xn--…), which is allowed.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[a-z0-9._~!$&'()*+,;=:@%/-]*)?(?P<query>\?[a-z0-9._~!$&'()*+,;=:@%/?-]*)?",
    re.IGNORECASE,
)
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_MAX_NAME_CHARACTERS = 253
# A name whose last label is a number is an IPv4 address to many programs, in decimal, octal or hex and of one to four
# parts (https://url.spec.whatwg.org/#ends-in-a-number-checker). Only the usual form is allowed.
_LOOKS_LIKE_IPV4 = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
_DEFAULT_PORTS = {"https": 443, "http": 80}
_MAX_PORT = 65535

# In addition to `is_global`, which differs between versions of Python.
_NOT_PUBLIC_IPV4 = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),  # of carriers, and of some clouds
    IPv4Network("168.63.129.16/32"),  # the host of a virtual machine on Azure
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv4Network("224.0.0.0/4"),  # multicast
    IPv4Network("240.0.0.0/4"),  # reserved, broadcast
)
# Global unicast is 2000::/3 (RFC 4291, 2.4). Outside of it are loopback, private (fc00::/7), link-local, IPv4-mapped
# and translated (NAT64) addresses; no public IPv4 address needs to be written as one of these.
_UNICAST_IPV6 = IPv6Network("2000::/3")
_NOT_PUBLIC_IPV6 = (
    IPv6Network("2001::/23"),  # protocol assignments, Teredo among them, which carries an IPv4 address
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4, which carries an IPv4 address
    IPv6Network("3ffe::/16"),  # returned
    IPv6Network("3fff::/20"),  # documentation
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackTarget:
    """A parsed callback URL."""

    scheme: str
    host: str  # in lower case, without brackets and trailing dot
    port: int
    path: str  # query included
    address: str | None  # the host, if it is an IP address

    @property
    def host_header(self) -> str:
        """Return the value of the header Host. https://www.rfc-editor.org/rfc/rfc9110#field.host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackPolicy:
    """What the operator allows. `allowed_domains`: `*`, exact names, and `*.example.com` for all its subdomains."""

    allowed_domains: Sequence[str]
    allow_http: bool = False
    allow_loopback: bool = False  # for local mode: also this machine
    refused_loopback_ports: frozenset[int] = frozenset()  # the gateway's own processes

    def target(self, url: str) -> CallbackTarget:
        """Parse a URL. Raises CallbackRefusedError unless webhooks may go to it.

        Any port is allowed: over TLS, no server of another protocol can misread the request.
        """
        if len(url) > MAX_CALLBACK_URL_CHARACTERS:
            raise CallbackRefusedError(f"Must not be longer than {MAX_CALLBACK_URL_CHARACTERS} characters.")
        parts = _URL.fullmatch(url)
        if parts is None:
            raise CallbackRefusedError(
                "Must be a URL like https://example.com/hook, in ASCII, without user, password or fragment."
            )
        scheme = parts["scheme"].lower()
        if scheme == "http" and not self.allow_http:
            raise CallbackRefusedError("Must be an https URL.")
        port = int(parts["port"] or _DEFAULT_PORTS[scheme])
        if not 0 < port <= _MAX_PORT:
            raise CallbackRefusedError(f"The port must be from 1 to {_MAX_PORT}.")
        host, address = _host(parts["host"].lower())
        if not self._allows(host):
            raise CallbackRefusedError("The operator does not allow this host.")
        path = (parts["path"] or "/") + (parts["query"] or "")
        return CallbackTarget(scheme=scheme, host=host, port=port, path=path, address=address)

    def _allows(self, host: str) -> bool:
        return any(
            host.endswith(allowed[1:]) if allowed.startswith("*.") else allowed in ("*", host)
            for allowed in self.allowed_domains
        )

    def check_addresses(self, addresses: Sequence[str], *, port: int) -> None:
        """Raise CallbackRefusedError unless all of a host's addresses are allowed.

        A name without addresses gets the same message, so that no caller learns which internal names exist.
        """
        if not addresses or not all(self._may_connect(ip_address(address), port) for address in addresses):
            raise CallbackRefusedError("The host was not found, or has an address that is not public.")

    def _may_connect(self, address: IPv4Address | IPv6Address, port: int) -> bool:
        if address.is_loopback:
            return self.allow_loopback and port not in self.refused_loopback_ports
        return is_public(address)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is a host's on the public internet, and has no other address embedded in it."""
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _NOT_PUBLIC_IPV4)
    if address.scope_id is not None or address not in _UNICAST_IPV6:
        return False
    return address.is_global and not any(address in network for network in _NOT_PUBLIC_IPV6)


def _host(text: str) -> tuple[str, str | None]:
    """Parse a host in lower case; return its canonical form, and the address if it is one."""
    if text.startswith("["):
        try:
            address = str(IPv6Address(text[1:-1]))
        except ValueError:
            raise CallbackRefusedError("The host is not an IPv6 address.") from None
        return address, address
    name = text.removesuffix(".")
    if _LOOKS_LIKE_IPV4.fullmatch(name):
        try:
            address = str(IPv4Address(name))
        except ValueError:
            raise CallbackRefusedError("An IPv4 address must be written as four decimal numbers.") from None
        return address, address
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME_CHARACTERS:
        raise CallbackRefusedError("The host is not a valid name.")
    return name, None
