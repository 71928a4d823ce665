"""The check of webhook URLs: private addresses are rejected in every notation."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.callback_url import CallbackPolicy, is_public
from gateway.errors import CallbackRefusedError

DEPLOYED = CallbackPolicy(allowed_domains=["*"])
LOCAL = CallbackPolicy(allowed_domains=["*"], allow_http=True, allow_loopback=True)


def allowed(url: str, policy: CallbackPolicy = DEPLOYED) -> bool:
    """Return whether a URL is accepted; a host name is assumed to have the address 8.8.8.8."""
    try:
        target = policy.target(url)
        policy.check_addresses([target.address or "8.8.8.8"], port=target.port)
    except CallbackRefusedError:
        return False
    return True


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/hooks/1?token=a%20b&x=~",
        "HTTPS://Hooks.Example.COM:8443/",
        "https://example.com.",
        "https://a_b.example.com",
        "https://xn--bcher-kva.example",
        "https://8.8.8.8/hook",
        "https://[2606:4700::1111]:443/hook",
        "https://example.com:1",
        "https://example.com:65535/",
        "https://1.example.com",
        "https://0xyz.example",
        "https://example.com?x=1",
    ],
)
def test_public_hosts_are_accepted(url: str) -> None:
    """Names and addresses are accepted with any port, path and query."""
    assert allowed(url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "169.254.170.2",
        "100.64.0.1", "100.100.100.200", "0.0.0.0", "0.1.2.3",  # noqa: S104  nothing binds to it
        "192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1",
        "203.0.113.7", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "[::1]", "[::]", "[fd00::1]", "[fd00:ec2::254]", "[fc00::1]", "[fe80::1]", "[fec0::1]", "[ff02::1]",
        "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[::ffff:8.8.8.8]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]",
        "[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b::8.8.8.8]", "[64:ff9b:1::1]",
        "[2002:7f00:1::]", "[2001:0:53aa:64c::]", "[2001:db8::1]", "[3fff::1]", "[100::1]", "[5f00::1]",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_rejected(host: str) -> None:
    """Loopback, private, shared, link-local, metadata, multicast, reserved, and addresses that embed another one."""
    assert not allowed(f"https://{host}/hook")
    address = host.strip("[]")
    with pytest.raises(CallbackRefusedError):
        DEPLOYED.check_addresses([address], port=443)
    with pytest.raises(CallbackRefusedError):
        DEPLOYED.check_addresses(["8.8.8.8", address], port=443)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "017700000001", "0x7f000001", "0x7F.0.0.1", "127.1", "127.0.1", "0177.0.0.1", "0x7f.1", "0", "0x",
        "127.0.0.01", "127.0.0.1.", "127.0.0.256", "1.2.3.4.5", "08.8.8.8", "8.8.8.0x8", "example.0x1", "example.1",
        "134744072", "010.8.8.8",
    ],
)  # fmt: skip
def test_unusual_ipv4_notations_are_rejected(host: str) -> None:
    """Decimal, octal, hexadecimal, short and with a trailing dot, even if the address is public."""
    assert not allowed(f"https://{host}/hook")


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "//example.com", "ftp://example.com", "file:///etc/passwd", "https:example.com", "https:///x",
        "https://", "https://user@example.com", "https://user:pass@example.com", "https://8.8.8.8@127.0.0.1/",
        "https://127.0.0.1@8.8.8.8/", "https://example.com#@127.0.0.1", "https://example.com/#x", "https://a\\@b/",
        "https://example.com\\.evil/", "https://example.com/\\x", "https://exa mple.com", "https://example.com/a b",
        "https://example.com/\r\nX: y", "https://example.com/\x00", "https://example.com\t", " https://example.com",
        "https://example.com:0", "https://example.com:65536", "https://example.com:-1", "https://example.com:",
        "https://example.com:443:1", "https://example..com", "https://.example.com", "https://example.com..", "https://.",
        "https://-example.com", "https://example-.com", "https://" + "a" * 64 + ".com",
        "https://" + "a." * 127 + "com", "https://[::1", "https://::1/", "https://[fe80::1%25eth0]/", "https://[::1%lo]/",
        "https://[8.8.8.8]/", "https://[v1.x]/", "https://[]/", "https://[1:2]/", "https://%31%32%37.0.0.1/",
        "https://bücher.example/", "https://\uff11\uff12\uff17.0.0.1/", "https://ⓔxample.com", "https://example。com",
        "https://localhost%00.example.com/", "https://example.com/" + "x" * 2048, "http://example.com/",
        "javascript:alert(1)", "gopher://example.com", "https://example.com/ü",
    ],
)  # fmt: skip
def test_malformed_and_misleading_urls_are_rejected(url: str) -> None:
    """User information, backslashes, zones, control characters, non-ASCII hosts, other schemes and invalid ports."""
    assert not allowed(url)


def test_local_mode_also_accepts_loopback_only() -> None:
    """Loopback and plain HTTP must be allowed explicitly; other private addresses are still rejected."""
    assert allowed("http://127.0.0.1:8000/hook", LOCAL)
    assert allowed("https://[::1]/", LOCAL)
    assert not allowed("http://10.0.0.1/", LOCAL)
    assert not allowed("http://169.254.169.254/", LOCAL)
    assert not allowed("http://[::ffff:127.0.0.1]/", LOCAL)
    LOCAL.check_addresses(["127.0.0.1", "::1"], port=9000)
    with pytest.raises(CallbackRefusedError):
        DEPLOYED.check_addresses(["127.0.0.1"], port=443)


@pytest.mark.parametrize(
    ("host", "accepted"),
    [
        ("hooks.example.com", True),
        ("HOOKS.example.com.", True),
        ("a.partner.example", True),
        ("a.b.partner.example", True),
        ("partner.example", False),
        ("evilpartner.example", False),
        ("example.com", False),
        ("a.hooks.example.com", False),
        ("hooks.example.com.evil.example", False),
        ("9.9.9.9", True),
        ("9.9.9.8", False),
    ],
)
def test_only_allowed_domains_are_accepted(host: str, *, accepted: bool) -> None:
    """An exact name matches only itself; `*.name` matches its subdomains, not the name itself."""
    policy = CallbackPolicy(allowed_domains=["hooks.example.com", "*.partner.example", "9.9.9.9"])
    assert allowed(f"https://{host}/", policy) is accepted


def test_unknown_and_private_hosts_get_the_same_message() -> None:
    """The message does not reveal which internal names exist."""
    messages = set()
    for addresses in ([], ["10.0.0.1"], ["::1"]):
        with pytest.raises(CallbackRefusedError) as caught:
            DEPLOYED.check_addresses(addresses, port=443)
        messages.add(caught.value.message)
    assert len(messages) == 1


def test_the_host_header_omits_the_default_port() -> None:
    """An IPv6 address is in brackets."""
    assert DEPLOYED.target("https://Example.com.:443/").host_header == "example.com"
    assert DEPLOYED.target("https://example.com:80/").host_header == "example.com:80"
    assert LOCAL.target("http://[::1]:8080/").host_header == "[::1]:8080"


@given(st.ip_addresses())
def test_public_addresses_are_global_for_python(address: object) -> None:
    """No address is public that is multicast, or not global for Python."""
    if is_public(ip_address(str(address))):
        assert ip_address(str(address)).is_global
        assert not ip_address(str(address)).is_multicast


@given(st.text())
def test_any_text_is_rejected_or_parsed(text: str) -> None:
    """No text raises another exception than CallbackRefusedError."""
    for url in (text, f"https://{text}", f"https://example.com/{text}"):
        allowed(url)


def test_the_ports_of_the_gateway_itself_are_refused() -> None:
    """A caller could otherwise send requests to the embedded AWS and ComfyUI, which trust this machine."""
    policy = CallbackPolicy(
        allowed_domains=["*"], allow_http=True, allow_loopback=True, refused_loopback_ports=frozenset({80, 8188})
    )
    policy.check_addresses(["127.0.0.1"], port=9000)
    for address, port in (("127.0.0.1", 8188), ("127.1.2.3", 8188), ("::1", 8188), ("127.0.0.1", 80)):
        with pytest.raises(CallbackRefusedError):
            policy.check_addresses([address], port=port)
