"""What may be the id of a workflow; apart from workflows themselves, as what checks ids alone loads no validator."""

from __future__ import annotations

import re

ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # safe in a path, a key and a shell
