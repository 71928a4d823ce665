"""The version, as the package says it."""

from __future__ import annotations

VERSION = "0.1.0"
