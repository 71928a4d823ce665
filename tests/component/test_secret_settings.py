"""Behaviour of settings that are kept in Secrets Manager."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest

from gateway.aws.secrets import with_secrets
from gateway.errors import SettingsInvalidError

if TYPE_CHECKING:
    from gateway.aws.clients import Clients


def secret(clients: Clients, content: object) -> str:
    """Make a secret; return its ARN."""
    text = content if isinstance(content, str) else json.dumps(content)
    return clients.secretsmanager.create_secret(Name=uuid.uuid4().hex, SecretString=text)["ARN"]


def test_settings_of_all_secrets_are_added(aws_clients: Clients) -> None:
    """Two secrets, and the environment, are read as one; what is secret wins."""
    first = secret(aws_clients, {"JWT_SECRET": "a"})
    second = secret(aws_clients, {"WEBHOOK_SECRET": "b", "S3_ACCESS_KEY": "c"})
    environment = {"SECRET_ARNS": f"{first}, {second}", "TABLE_NAME": "t", "JWT_SECRET": "from the environment"}
    assert with_secrets(environment) == {
        **environment, "JWT_SECRET": "a", "WEBHOOK_SECRET": "b", "S3_ACCESS_KEY": "c"
    }  # fmt: skip


def test_without_secrets_nothing_is_called() -> None:
    """An empty list is none, too."""
    for environment in ({"TABLE_NAME": "t"}, {"SECRET_ARNS": ""}):
        assert with_secrets(environment) is environment


@pytest.mark.parametrize("content", ["hidden-word", '"hidden-word"', ["hidden-word"], {"A": {"hidden-word": 1}}])
def test_a_secret_of_another_shape_is_named_but_never_shown(aws_clients: Clients, content: object) -> None:
    """The start stops with one line that names the setting."""
    with pytest.raises(SettingsInvalidError, match="SECRET_ARNS: a secret is no JSON object") as raised:
        with_secrets({"SECRET_ARNS": secret(aws_clients, content)})
    assert "hidden-word" not in str(raised.value)


def test_a_secret_that_is_not_there_stops_the_start(aws_clients: Clients) -> None:  # noqa: ARG001  it has to run
    """One line, again."""
    with pytest.raises(SettingsInvalidError, match="SECRET_ARNS: a secret can't be read"):
        with_secrets({"SECRET_ARNS": "arn:aws:secretsmanager:us-east-1:000000000000:secret:none-AbCdEf"})
