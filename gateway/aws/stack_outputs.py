"""Read the settings of a deployed stage from the outputs of its stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from gateway.errors import SettingsInvalidError

if TYPE_CHECKING:
    from gateway.aws.clients import Clients

_NO_SUCH_STACK = (
    "ValidationError"  # https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
)


def environment_of(clients: Clients, stage: str) -> str:
    """Return a stage's settings as lines NAME=value. Raises SettingsInvalidError when there is no such stage."""
    name = f"comfyui-gateway-{stage}-state"
    try:
        (stack,) = clients.cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != _NO_SUCH_STACK:
            raise
        raise SettingsInvalidError(f"--stage: there is no stack {name} in this account and region") from None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    if "Environment" not in outputs:
        raise SettingsInvalidError(f"--stage: the stack {name} has no output Environment: deploy the stage again")
    return str(outputs["Environment"])
