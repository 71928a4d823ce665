"""`--open`: outputs in the default application, on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.open_files import open_files, open_urls
from cli.printer import Printer
from tests.local.command import wait_until


class TerminalPrinter(Printer):
    """A printer whose stdout is a terminal."""

    on_terminal = True


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a fake opener; return the file with the arguments of its calls."""
    calls = tmp_path / "calls"
    for name in ("xdg-open", "open"):
        opener = tmp_path / "bin" / name
        opener.parent.mkdir(exist_ok=True)
        opener.write_text(f'#!/bin/sh\necho "$1" >> {calls}\n')
        opener.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    calls.touch()
    return calls


def test_media_are_opened_and_programs_are_not(opened: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the absolute path, so that no file name is parsed as an option."""
    files = [Path("a b.png"), Path("-clip.mp4"), Path("song.flac"), Path("run.desktop"), Path("run.sh"), Path("x")]
    open_files(TerminalPrinter(as_json=False), files)
    wait_until(lambda: len(opened.read_text().splitlines()) == 3, 10)
    assert sorted(opened.read_text().splitlines()) == sorted(str(file.absolute()) for file in files[:3])
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_only_web_addresses_are_opened(opened: Path) -> None:
    """An untrusted gateway may return any URL."""
    open_urls(TerminalPrinter(as_json=False), ["https://a.example/x.png", "file:///etc/passwd", "-rf"])
    wait_until(lambda: opened.read_text() == "https://a.example/x.png\n", 10)


def test_nothing_is_opened_without_a_terminal(opened: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints a note; the command itself succeeds."""
    open_files(Printer(as_json=False), [Path("a.png")])
    assert opened.read_text() == ""
    assert "not a terminal" in capsys.readouterr().err


def test_a_missing_opener_is_no_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints a note, for example on a server."""
    monkeypatch.setenv("PATH", "/nonexistent")
    open_files(TerminalPrinter(as_json=False), [Path("a.png")])
    assert "not installed" in capsys.readouterr().err


def test_an_opener_that_fails_is_reported(opened: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its exit code, as without a desktop."""
    for opener in (opened.parent / "bin").iterdir():
        opener.write_text("#!/bin/sh\nexit 3\n")
    open_files(TerminalPrinter(as_json=False), [Path("a.png")])
    assert "exited with 3" in capsys.readouterr().err
