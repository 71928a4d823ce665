"""The first parts of object keys in the bucket, by what the objects are."""

from __future__ import annotations

OUTPUT_PREFIX = "outputs/"
PROMPT_PREFIX = "prompts/"
TEMPLATE_PREFIX = "workflows/"
