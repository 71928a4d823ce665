"""The embedded AWS: ministack as a process on a free loopback port.

It is a stand-in for one machine, not a database: it writes its tables and queues when it is stopped with
SIGTERM, and a crash loses what came after the last such stop. Objects are written as they come.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Self

from local.child_process import Child, ChildFailedError, free_port, is_responding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START_SECONDS = 15
_REGION = "us-east-1"
# ministack has to know them: by them it checks presigned URLs, though nothing else.
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


class Emulator:
    """The embedded AWS, started by its construction; as a context manager, answering from the start of the block.

    `state_dir` keeps its state between runs; None keeps nothing. `work_dir` exists and takes its log.
    `inherited_fds` stay open for as long as it runs.
    """

    def __init__(self, *, state_dir: Path | None, work_dir: Path, inherited_fds: Sequence[int] = ()) -> None:
        port = free_port()
        self.endpoint_url = f"http://127.0.0.1:{port}"
        self._was_up = False
        self._child = Child(
            "embedded AWS",
            [sys.executable, "-m", "local.ministack_process"],
            environment=_ministack_environment(port, state_dir, work_dir),
            log_file=work_dir / "aws.log",
            orphan_signal=signal.SIGTERM,  # so that it saves its state even then
            inherited_fds=inherited_fds,
        )

    @property
    def child(self) -> Child:
        """The process."""
        return self._child

    def answers(self) -> bool:
        """Tell whether it has come up."""
        self._was_up = self._was_up or is_responding(f"{self.endpoint_url}/_ministack/health")
        return self._was_up

    @property
    def environment(self) -> dict[str, str]:
        """What boto3 reads to find it. The person's own AWS profile and configuration play no part."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            **_CREDENTIALS,
            "AWS_REGION": _REGION,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def stop(self, *, seconds: float = 10) -> bool:
        """Stop it and let it save its state. False when it could not, so that state may be lost."""
        ended = self._child.stop(seconds=seconds)
        if not self._was_up:
            return True  # it had nothing new to save
        # It ends with 0 all the same when it could not write, on a full disk, say: only its log tells.
        return ended and b"failed to save" not in self._child.log_file.read_bytes()

    def __enter__(self) -> Self:
        """Wait until it answers. Raises ChildFailedError when it does not come up."""
        try:
            self._child.wait_until(self.answers, seconds=START_SECONDS)
        except ChildFailedError:
            self._child.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _ministack_environment(port: int, state_dir: Path | None, work_dir: Path) -> dict[str, str]:
    # Its variables have common names (SERVICES, AUTH, USE_SSL …): it gets none from the person's environment.
    environment = {
        **_CREDENTIALS,
        "PATH": os.environ.get("PATH", os.defpath),
        "BIND_HOST": "127.0.0.1",  # its default is every interface
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "TMPDIR": str(work_dir),  # for its process id file
        "DOCKER_HOST": "unix:///dev/null",  # it would remove the containers of other instances of itself
    }
    if state_dir is not None:
        environment |= {
            "PERSIST_STATE": "1",
            "STATE_DIR": str(state_dir / "services"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(state_dir / "objects"),
        }
    return environment
