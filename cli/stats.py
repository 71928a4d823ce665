"""`comfyui-gateway stats`: how many jobs there are, and how they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli import times

if TYPE_CHECKING:
    from cli.gateway_session import GatewaySession


def stats(session: GatewaySession) -> None:
    """Show counts of jobs, average times and the cache hit rate (for admins).

    Examples:
      comfyui-gateway stats
      comfyui-gateway stats --json | jq .jobs.failed

    """
    response = session.api.stats()
    if session.printer.as_json:
        session.printer.json(response)
        return
    counts, hit_rate = response["jobs"], response["cacheHitRate"]
    session.printer.fields(
        (
            ("since", session.printer.local_time(response["since"])),
            ("jobs", str(counts["total"])),
            ("queued", str(counts["queued"])),
            ("running", str(counts["running"])),
            ("succeeded", str(counts["succeeded"])),
            ("failed", str(counts["failed"])),
            *((f"  {code}", str(count)) for code, count in sorted(response["failedByCode"].items())),
            ("canceled", str(counts["canceled"])),
            ("average run time", _duration(response["averageProcessingTimeMs"])),
            ("average wait", _duration(response["averageQueueWaitMs"])),
            ("cache hit rate", "" if hit_rate is None else f"{hit_rate:.0%}"),
        )
    )


def _duration(milliseconds: int | None) -> str:
    return "" if milliseconds is None else times.duration(milliseconds / 1000)
