"""The form of a workflow id. In a module of its own: code that checks ids only need not import the validator."""

from __future__ import annotations

import re

ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # safe in a path, a key and a shell
