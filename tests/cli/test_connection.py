"""Selection of the gateway and its credentials, profiles, and env files."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import env_file
from cli.connection import Connection, find, profile_file
from cli.exit_codes import CommandFailedError, ExitCode

TOKEN = "t0ken"
PROD = "https://images.example.com"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment with the profiles default and prod."""
    folder = tmp_path / "comfyui-gateway"
    for name, url, key in (("default", "http://127.0.0.1:3001", "local-key"), ("prod", PROD, "prod-key")):
        text = env_file.line("COMFYUI_GATEWAY_URL", url) + env_file.line("COMFYUI_GATEWAY_API_KEY", key)
        env_file.write(folder / f"{name}.env", text, replace=False)
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def found(environment: dict[str, str], **given: str) -> Connection:
    """Find a connection."""
    return find(**{"url": None, "api_key": None, "token": None, "profile": None, **given}, environment=environment)


def test_precedence(environment: dict[str, str]) -> None:
    """The command line, then the environment, then the profile, then the gateway of this machine."""
    assert found(environment) == Connection(url="http://127.0.0.1:3001", api_key="local-key")
    assert found(environment, profile="prod") == Connection(url=PROD, api_key="prod-key")
    assert found({**environment, "COMFYUI_GATEWAY_PROFILE": "prod"}) == Connection(url=PROD, api_key="prod-key")
    named = {**environment, "COMFYUI_GATEWAY_URL": "http://a.example", "COMFYUI_GATEWAY_API_KEY": "a"}
    assert found(named) == Connection(url="http://a.example", api_key="a")
    assert found(named, profile="prod") == Connection(url=PROD, api_key="prod-key")
    assert found(named, url="http://b.example/", token=TOKEN) == Connection(url="http://b.example", token=TOKEN)
    assert found({}) == Connection(url="http://127.0.0.1:3000")


def test_a_profiles_key_is_for_its_gateway_only(environment: dict[str, str]) -> None:
    """It is sent to no other URL, whether from an option or a variable."""
    assert found(environment, url="https://evil.example") == Connection(url="https://evil.example")
    assert found(environment, url="https://evil.example", profile="prod") == Connection(url="https://evil.example")
    assert found({**environment, "COMFYUI_GATEWAY_URL": "https://evil.example"}).api_key is None
    assert found(environment, url="http://127.0.0.1:3001").api_key == "local-key"


def test_a_key_is_not_in_the_repr(environment: dict[str, str]) -> None:
    """A key takes precedence over a token."""
    connection = found({**environment, "COMFYUI_GATEWAY_API_KEY": "k3y", "COMFYUI_GATEWAY_TOKEN": "t0ken"})
    assert connection.headers == {"X-API-Key": "k3y"}
    assert "k3y" not in repr(connection)
    assert Connection(url=PROD, token=TOKEN).headers == {"Authorization": f"Bearer {TOKEN}"}


def test_a_profile_that_others_can_read_is_reported(environment: dict[str, str]) -> None:
    """Only when its key is used."""
    file = profile_file("prod", environment)
    assert found(environment, profile="prod").exposed_file is None
    file.chmod(0o644)
    assert found(environment, profile="prod").exposed_file == file
    assert found(environment, profile="prod", api_key="another").exposed_file is None
    assert found(environment).exposed_file is None


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"profile": "missing"}, ExitCode.NOT_FOUND),
        ({"profile": "../prod"}, ExitCode.USAGE),
        ({"url": "127.0.0.1:3000"}, ExitCode.USAGE),
        ({"url": "http://user:s3cret@example.com"}, ExitCode.USAGE),
        ({"url": "file:///etc/passwd"}, ExitCode.USAGE),
        ({"url": "http://example.com/?k=s3cret"}, ExitCode.USAGE),
        ({"api_key": "s3cret\r\nX-Other: 1"}, ExitCode.NOT_ALLOWED),
        ({"token": "s3cret" + "x" * 10_000}, ExitCode.NOT_ALLOWED),
    ],
)
def test_an_invalid_value_is_reported_without_quoting_it(
    environment: dict[str, str], given: dict[str, str], code: ExitCode
) -> None:
    """The value may contain a secret."""
    with pytest.raises(CommandFailedError) as caught:
        found(environment, **given)
    assert caught.value.code is code
    assert "s3cret" not in caught.value.message


def test_the_folder_of_profiles() -> None:
    """XDG_CONFIG_HOME, or .config in the home folder."""
    assert profile_file("a", {"XDG_CONFIG_HOME": "/c"}) == Path("/c/comfyui-gateway/a.env")
    assert profile_file("a", {"HOME": "/h"}) == Path("/h/.config/comfyui-gateway/a.env")


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=1\n\n # no\nexport B='two words'\nC=\"x\"y\nD=\n", {"A": "1", "B": "two words", "C": "xy", "D": ""}),
        ("A=a#b?c=d&e\n", {"A": "a#b?c=d&e"}),
        ("", {}),
    ],
)
def test_files_are_read_as_a_shell_does(text: str, variables: dict[str, str]) -> None:
    """Quotes, comments and export; nothing is expanded."""
    assert env_file.parse(text, "here") == variables


@pytest.mark.parametrize("line", ["s3cret", "A=s3cret two", "A='s3cret", "1A=s3cret", "A = s3cret"])
def test_an_invalid_line_is_reported_by_its_number(line: str) -> None:
    """Its text may be a secret."""
    with pytest.raises(CommandFailedError, match="here, line 2: ") as caught:
        env_file.parse(f"A=1\n{line}\n", "here")
    assert "s3cret" not in caught.value.message


def test_a_written_file_can_be_read(tmp_path: Path) -> None:
    """With any characters in the value. Only the owner can read it."""
    file, value = tmp_path / "new" / "f.env", "a b'c\"d$e`f\\g#h"
    env_file.write(file, env_file.line("A", value), replace=False)
    assert env_file.read(file) == {"A": value}
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandFailedError, match="exists"):
        env_file.write(file, "", replace=False)
    assert env_file.read(tmp_path / "none") is None


def test_an_unreadable_file_is_reported(tmp_path: Path) -> None:
    """A folder, a binary file, and a file above the size limit."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_text("A=1\n" * 20_000)
    for name in (".", "binary", "large"):
        with pytest.raises(CommandFailedError, match=str(tmp_path)):
            env_file.read(tmp_path / name)
