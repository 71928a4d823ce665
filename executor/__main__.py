"""Entry point: `python -m executor` runs until SIGTERM or Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from executor.log import log_uncaught_exceptions, logger
from executor.malloc import return_large_buffers
from executor.wiring import assemble, aws_ports
from gateway.aws.secrets import with_secrets
from gateway.errors import SettingsInvalidError
from gateway.settings import ExecutorSettings

if TYPE_CHECKING:
    from types import FrameType


def main() -> int:
    """Run an executor. Returns the process's exit code."""
    try:
        run()
    except SettingsInvalidError as error:
        sys.stderr.write(f"executor: {error.message}\n")
        return 1
    return 0


def run() -> None:
    """Run an executor with the settings in the environment until it is stopped. Raises SettingsInvalidError."""
    settings = ExecutorSettings.from_environment(with_secrets(os.environ))
    return_large_buffers()
    logger.setLevel(settings.log_level)
    log_uncaught_exceptions()
    executor = assemble(settings, aws_ports(settings))
    try:
        executor.liveness.create()
    except OSError as error:
        raise SettingsInvalidError(f"HEALTH_FILE: cannot be written: {error.strerror}") from None

    def stop(_signal: int, _frame: FrameType | None) -> None:
        executor.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    logger.info("executor started", action="executor_started", comfyui_url=settings.comfyui_url)
    executor.run(settings.shutdown_grace_seconds)
    logger.info("executor stopped", action="executor_stopped")


def end_process(exit_code: int) -> NoReturn:
    """End the process at once. Python would wait for boto3's threads, which may upload for minutes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    end_process(main())
