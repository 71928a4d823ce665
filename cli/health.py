"""`comfyui-gateway health`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli.gateway_session import GatewaySession

_GIB = 1024**3


def health(session: GatewaySession) -> None:
    """Tell how the gateway is, and, to those who are signed in, its executors.

    Try:

      comfyui-gateway health --json | jq .comfyui.reachable
    """
    answer = session.api.health()
    if session.printer.as_json:
        session.printer.data(answer)
        return
    reachable = answer["comfyui"]["reachable"]
    fields = [
        ("gateway", f"{session.api.url}, version {answer['version']}"),
        ("comfyui", "answers" if reachable else "does not answer; comfyui-gateway doctor says more"),
    ]
    for executor in answer.get("executors", []):
        beside = executor["comfyui"]
        answers = "answers" if beside["reachable"] else "does not answer"
        fields.append(
            ("executor", f"{executor['id']}, {'busy' if executor['busy'] else 'idle'}; {beside['url']} {answers}")
        )
        if device := beside["device"]:
            fields.append(("device", f"{device['name']}, {device['vramFreeBytes'] / _GIB:.1f} GiB free"))
    session.printer.fields(fields)
