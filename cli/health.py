"""`comfyui-gateway health`: the state of the gateway and its executors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli.gateway_session import GatewaySession

_GIB = 1024**3


def health(session: GatewaySession) -> None:
    """Show the state of the gateway. With a key or token, show its executors.

    Examples:
      comfyui-gateway health
      comfyui-gateway health --json | jq .comfyui.reachable

    """
    response = session.api.health()
    if session.printer.as_json:
        session.printer.json(response)
        return
    reachable = response["comfyui"]["reachable"]
    fields = [
        ("gateway", f"{session.api.url}, version {response['version']}"),
        ("comfyui", "reachable" if reachable else "not reachable; see comfyui-gateway doctor"),
    ]
    for executor in response.get("executors", []):
        comfyui = executor["comfyui"]
        state = "reachable" if comfyui["reachable"] else "not reachable"
        fields.append(
            ("executor", f"{executor['id']}, {'busy' if executor['busy'] else 'idle'}; {comfyui['url']} {state}")
        )
        if device := comfyui["device"]:
            fields.append(("device", f"{device['name']}, {device['vramFreeBytes'] / _GIB:.1f} GiB free"))
    session.printer.fields(fields)
