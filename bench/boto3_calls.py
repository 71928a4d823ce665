"""Make calls to AWS by boto3 and nothing else, in separate processes like the workers of the API process.

Run as a script by Boto3Calls: it reads the calls, and then, for each line, how many seconds to go on; it prints how
often it has made them all.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from replay import RecordedCall, Script

MOST_PROCESSES = 8  # more would only wait for each other on a machine of few cores


class Boto3Calls:
    """Processes that make these calls, for one job or a new one each time; a context manager."""

    def __init__(self, script: Script, calls: list[RecordedCall], processes: int, *, new_job: bool) -> None:
        content = {
            "job_id": script.job_id,
            "new_job": new_job,
            "calls": [[call.operation, json.loads(call.body)] for call in calls],
        }
        self._processes = [
            subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603  this file
            for _ in range(min(processes, MOST_PROCESSES))
        ]
        for process in self._processes:
            print(json.dumps(content), file=process.stdin, flush=True)
        self.per_second(0.2)  # warm-up

    def per_second(self, seconds: float) -> float:
        """Run for some seconds; return how often per second all calls were made."""
        for process in self._processes:
            print(seconds, file=process.stdin, flush=True)
        return sum(int(process.stdout.readline()) for process in self._processes if process.stdout) / seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.communicate()


def main() -> None:
    """Make the requested calls."""
    from botocore import xform_name  # noqa: PLC0415  only this process needs it

    from gateway.aws.clients import Clients  # noqa: PLC0415  as above

    content = json.loads(sys.stdin.readline())
    clients = Clients()
    calls = [
        (getattr(clients.sqs if "QueueUrl" in body else clients.dynamodb, xform_name(operation)), json.dumps(body))
        for operation, body in content["calls"]
    ]
    for line in sys.stdin:
        times, ends_at = 0, time.monotonic() + float(line)
        while time.monotonic() < ends_at:
            job_id = str(uuid.uuid4()) if content["new_job"] else content["job_id"]
            for call, body in calls:
                parameters: dict[str, Any] = json.loads(body.replace(content["job_id"], job_id))
                call(**parameters)
            times += 1
        print(times, flush=True)


if __name__ == "__main__":
    main()
