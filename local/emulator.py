"""Run the embedded AWS: ministack as a process on a free loopback port.

It is an emulator, not a database: it writes its tables and queues every few seconds and when it is stopped with
SIGTERM, and a crash loses the changes since then. Objects are written immediately.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
from typing import TYPE_CHECKING, Self

from local.child_process import Child, ChildFailedError, free_port, is_responding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START_SECONDS = 15
_REGION = "us-east-1"
# ministack has many more, among them CloudFormation and Lambda, which run code.
_SERVICES = ("dynamodb", "dynamodbstreams", "sqs", "s3", "events")


class Emulator:
    """The embedded AWS. The constructor starts it; the context manager also waits until it is ready.

    `state_dir` stores its state between runs; None stores nothing. `work_dir` exists and receives its log.
    `inherited_fds` stay open while it runs.
    """

    def __init__(self, *, state_dir: Path | None, work_dir: Path, inherited_fds: Sequence[int] = ()) -> None:
        port = free_port()
        self.endpoint_url = f"http://127.0.0.1:{port}"
        # ministack takes a key id of twelve digits for the number of an account, so this one starts with a letter.
        self._credentials = {
            "AWS_ACCESS_KEY_ID": f"L{secrets.token_hex(9).upper()}",
            "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(30),
        }
        self._was_up = False
        self._child = Child(
            "embedded AWS",
            [sys.executable, "-P", "-m", "local.ministack_process"],
            environment={**self._credentials, **_ministack_environment(port, state_dir, work_dir)},
            log_file=work_dir / "aws.log",
            orphan_signal=signal.SIGTERM,  # so that it saves its state even then
            inherited_fds=inherited_fds,
        )

    @property
    def child(self) -> Child:
        """The process."""
        return self._child

    def is_ready(self) -> bool:
        """Return whether it has become ready."""
        self._was_up = self._was_up or is_responding(f"{self.endpoint_url}/_ministack/health")
        return self._was_up

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point boto3 to it, and away from the AWS configuration of the user."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            **self._credentials,
            "AWS_REGION": _REGION,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def stop(self, *, seconds: float = 10) -> bool:
        """Stop it; it saves its state. Return False when it could not, so that state may be lost."""
        ended = self._child.stop(seconds=seconds)
        if not self._was_up:
            return True  # there is no new state
        # Its exit code is 0 even when it could not write, for example on a full disk: only its log reports that.
        return ended and b"failed to save" not in self._child.log_file.read_bytes()

    def __enter__(self) -> Self:
        """Wait until it is ready. Raises ChildFailedError when it does not start."""
        try:
            self._child.wait_until(self.is_ready, seconds=START_SECONDS)
        except ChildFailedError:
            self._child.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _ministack_environment(port: int, state_dir: Path | None, work_dir: Path) -> dict[str, str]:
    # Its variables have common names (SERVICES, AUTH, USE_SSL …), so it inherits none from the environment.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "SERVICES": ",".join(_SERVICES),
        "BIND_HOST": "127.0.0.1",  # its default is every interface
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "TMPDIR": str(work_dir),  # for its process id file
        "DOCKER_HOST": "unix:///dev/null",  # otherwise it would remove containers of other ministack instances
    }
    if state_dir is not None:
        environment |= {
            "PERSIST_STATE": "1",
            "STATE_DIR": str(state_dir / "services"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(state_dir / "objects"),
        }
    return environment
