"""Read secret settings, which a deployment stores in Secrets Manager and not in the environment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from gateway.aws.clients import Clients
from gateway.errors import SettingsInvalidError
from gateway.settings import SecretSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


def with_secrets(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Add the settings from the secrets in SECRET_ARNS. Makes no call if there are none.

    Each secret is a JSON object of settings, with their names in the environment:
    `{"JWT_SECRET": "…"}`. Raises SettingsInvalidError.
    """
    arns = SecretSettings.from_environment(environment).secret_arns
    if not arns:
        return environment
    client = Clients().secretsmanager
    try:
        texts = [client.get_secret_value(SecretId=arn)["SecretString"] for arn in arns]
    except (BotoCoreError, ClientError) as error:
        raise SettingsInvalidError(f"SECRET_ARNS: a secret can't be read ({type(error).__name__})") from None
    return {**environment, **{name: value for text in texts for name, value in _settings(text).items()}}


def _settings(text: str) -> dict[str, str]:
    # No message contains the text.
    try:
        settings = json.loads(text)
    except ValueError:
        settings = None
    if not isinstance(settings, dict) or not all(isinstance(value, str) for value in settings.values()):
        raise SettingsInvalidError("SECRET_ARNS: a secret is no JSON object of settings, each a text")
    return settings
