"""Settings stored in Secrets Manager."""

from __future__ import annotations

import json
import uuid

import pytest

from gateway.aws.clients import Clients
from gateway.aws.secrets import with_secrets
from gateway.errors import SettingsInvalidError


@pytest.fixture
def clients(deployed_services: None) -> Clients:  # noqa: ARG001  runs Secrets Manager
    """Return boto3 clients."""
    return Clients()


def secret(clients: Clients, content: object) -> str:
    """Create a secret; return its ARN."""
    text = content if isinstance(content, str) else json.dumps(content)
    return clients.secretsmanager.create_secret(Name=uuid.uuid4().hex, SecretString=text)["ARN"]


def test_secrets_are_merged_into_the_environment(clients: Clients) -> None:
    """Secrets are merged into the environment, and override it."""
    first = secret(clients, {"JWT_SECRET": "a"})
    second = secret(clients, {"WEBHOOK_SECRET": "b", "S3_ACCESS_KEY": "c"})
    environment = {"SECRET_ARNS": f"{first}, {second}", "TABLE_NAME": "t", "JWT_SECRET": "from the environment"}
    assert with_secrets(environment) == {
        **environment, "JWT_SECRET": "a", "WEBHOOK_SECRET": "b", "S3_ACCESS_KEY": "c"
    }  # fmt: skip


def test_without_secrets_the_environment_is_unchanged() -> None:
    """Without secrets, or with an empty list, the environment is returned unchanged."""
    for environment in ({"TABLE_NAME": "t"}, {"SECRET_ARNS": ""}):
        assert with_secrets(environment) is environment


@pytest.mark.parametrize("content", ["hidden-word", '"hidden-word"', ["hidden-word"], {"A": {"hidden-word": 1}}])
def test_an_invalid_secret_is_an_error_without_its_content(clients: Clients, content: object) -> None:
    """The error names the setting, not the secret's content."""
    with pytest.raises(SettingsInvalidError, match="SECRET_ARNS: ") as raised:
        with_secrets({"SECRET_ARNS": secret(clients, content)})
    assert "hidden-word" not in str(raised.value)


def test_a_missing_secret_is_an_error(clients: Clients) -> None:  # noqa: ARG001  runs Secrets Manager
    """A secret that cannot be read is an error that names the setting."""
    with pytest.raises(SettingsInvalidError, match="SECRET_ARNS: "):
        with_secrets({"SECRET_ARNS": "arn:aws:secretsmanager:us-east-1:000000000000:secret:none-AbCdEf"})
