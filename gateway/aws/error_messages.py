"""Messages for operators, in one line, for the exceptions of boto3."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from botocore.exceptions import ConnectionError as AwsConnectionError

from gateway.errors import AwsCallFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_INVALID_CREDENTIALS = {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}


@contextmanager
def raising_operator_errors() -> Iterator[None]:
    """Raise AwsCallFailedError for any boto3 exception in the block."""
    try:
        yield
    except ClientError as error:
        raise AwsCallFailedError(_message(error)) from None
    except NoCredentialsError:
        raise AwsCallFailedError(
            "There are no AWS credentials: set AWS_PROFILE, or sign in with `aws sso login`."
        ) from None
    except (AwsConnectionError, HTTPClientError) as error:
        where = error.kwargs.get("endpoint_url") or "AWS"
        raise AwsCallFailedError(f"{where} does not respond. Check that it is running, and the network.") from None
    except BotoCoreError as error:
        raise AwsCallFailedError(" ".join(str(error).split())) from None


def _message(error: ClientError) -> str:
    code = error.response.get("Error", {}).get("Code", "an error")
    message = " ".join(error.response.get("Error", {}).get("Message", "").split())
    if code in _DENIED:
        return f"These AWS credentials do not allow {error.operation_name}: {message}"
    if code in _INVALID_CREDENTIALS:
        return f"AWS rejected these credentials ({code}): sign in again, or set AWS_PROFILE."
    return f"AWS refused {error.operation_name} ({code}): {message}"
