"""Everything that is installed is pinned: packages by version and hash, images by digest."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from infra.module_graph import ROOT

LOCKS = ["requirements.lock", "local/requirements.lock", "executor/requirements.lock", "bench/requirements.txt"]
PINNED = re.compile(r"[\w.:/-]+@sha256:[0-9a-f]{64}")


def pins(lock: str) -> dict[str, set[str]]:
    """Return the hashes of each package and version in a lock file."""
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    return {entry.split(" ")[0]: set(re.findall(r"--hash=sha256:[0-9a-f]{64}", entry)) for entry in entries}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_hashes(lock: str) -> None:
    """One for each file of a version, so that the lock holds for every platform; and no address of a registry."""
    assert all("==" in package and hashes for package, hashes in pins(lock).items())
    assert "://" not in (ROOT / lock).read_text()


@pytest.mark.parametrize("lock", ["local/requirements.lock", "executor/requirements.lock"])
def test_an_image_installs_what_the_tests_run_with(lock: str) -> None:
    """The versions in the locks of the images are those of the lock that the tests are installed from."""
    assert pins(lock).items() <= pins("requirements.lock").items()


@pytest.mark.parametrize("folder", ["infra", "tools"])
def test_npm_packages_are_locked(folder: str) -> None:
    """The lock has the version that package.json names, and a checksum of every package; no address of a registry."""
    lock = json.loads((ROOT / folder / "package-lock.json").read_text())
    wanted = json.loads((ROOT / folder / "package.json").read_text())["devDependencies"]
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert all(packages[f"node_modules/{name}"]["version"] == version for name, version in wanted.items())
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert not any("resolved" in package for package in packages.values())


@pytest.mark.parametrize("dockerfile", ["local/Dockerfile", "executor/Dockerfile", "examples/comfyui/Dockerfile"])
def test_base_images_have_a_digest(dockerfile: str) -> None:
    """A tag can be moved to another image; a digest cannot."""
    images = re.findall(r"^FROM (\S+)", (ROOT / dockerfile).read_text(), re.MULTILINE)
    assert images
    assert all(PINNED.fullmatch(image) for image in images)


@pytest.mark.parametrize("file", ["Makefile", "local/Dockerfile", "executor/Dockerfile", "infra/bundle.py"])
def test_every_installation_checks_hashes(file: str) -> None:
    """Without hashes, only this package itself is installed; npm installs from its lock."""
    text = Path(ROOT / file).read_text()
    installs = re.findall(r"\bpip install\b[^\n]*|\"pip\", \"install\"(?:[^\]]*)", text)
    assert installs
    assert all("--require-hashes" in each or "--no-build-isolation" in each for each in installs)
    assert all("--package-lock-only" in each for each in re.findall(r"\(NPM\) install[^\n]*", text))
