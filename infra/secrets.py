"""The secrets that a stage can have, by the setting that each holds."""

from __future__ import annotations

from enum import StrEnum


class Secret(StrEnum):
    """A setting that is stored in Secrets Manager. A stage has only the ones that it uses."""

    JWT = "JWT_SECRET"
    WEBHOOK = "WEBHOOK_SECRET"
