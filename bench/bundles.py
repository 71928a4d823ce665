"""Sizes of the archives of the functions, by package."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from zipfile import ZipFile

from idle_cost import resources_of

if TYPE_CHECKING:
    from pathlib import Path

_OURS = ("functions", "gateway", "workflows")


def zipped_kb(templates: Path) -> dict[str, Counter[str]]:
    """Return the KB of each package in the archive of each function. Raises FileNotFoundError before `make synth`."""
    found = {}
    for resource in resources_of(templates):
        if resource["Type"] == "AWS::Lambda::Function":
            name = resource["Properties"]["Handler"].split(".")[1]
            found[name] = _packages_of(templates / f"asset.{resource['Properties']['Code']['S3Key']}")
    return found


def _packages_of(archive: Path) -> Counter[str]:
    sizes: Counter[str] = Counter()
    with ZipFile(archive) as files:
        for file in files.infolist():
            package = file.filename.split("/")[0].split(".")[0].split("-")[0].removeprefix("_")
            sizes["ours" if package in _OURS else package] += file.compress_size
    return Counter({package: round(size / 1000) for package, size in sizes.items() if size})
