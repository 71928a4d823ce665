"""Settings of hypothesis: few examples and no deadline, so that a busy machine does not fail a test."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unit", deadline=None, database=None, max_examples=60)
settings.load_profile("unit")
