"""What doctor looks at by the HTTP API: the gateway, credentials, clocks, executors, models, webhooks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cli.exit_codes import CommandFailedError, ExitCode
from cli.finding import Finding, State
from gateway.__about__ import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cli.api import GatewayApi
    from functions.api.responses import HealthJson

_CLOCK_SECONDS = 30  # JWTs and the times of a list are off by that
_CLOCK_PROBLEM_SECONDS = 300  # AWS refuses signatures that are older
_MAX_WORKFLOWS = 40  # each is a request, and requests are limited
_MOST_LISTED = 200  # models of a folder; one that is not among them may be there all the same
_TOKEN = re.compile(r"\{\{\s*(\w+)\s*\}\}")
# Which folder of ComfyUI's an input's file lies in: https://docs.comfy.org/development/core-concepts/models
_FOLDERS = {
    "ckpt_name": ("checkpoints",),
    "lora_name": ("loras",),
    "vae_name": ("vae",),
    "unet_name": ("diffusion_models", "unet"),
    "clip_name": ("text_encoders", "clip"),
    "clip_name1": ("text_encoders", "clip"),
    "clip_name2": ("text_encoders", "clip"),
    "clip_name3": ("text_encoders", "clip"),
    "control_net_name": ("controlnet",),
    "style_model_name": ("style_models",),
}


def look_at_gateway(api: GatewayApi, webhook_url: str | None) -> Iterator[Finding]:
    """Look at all of it; what cannot be looked at for want of something before it is left out."""
    try:
        health = api.health()
    except CommandFailedError as error:
        yield _unanswered(api, error)
        return
    yield _version(api, health)
    yield _clock(api)
    if "executors" not in health:
        yield Finding(
            "credentials",
            State.PROBLEM,
            "a token, and the gateway takes none" if api.signs_in else "none, and the gateway asks for some",
            "Put a key into COMFYUI_GATEWAY_API_KEY, or a profile: comfyui-gateway init. An operator makes one with "
            "comfyui-gateway keys create",
        )
        return
    yield _role(api)
    yield from _executors(health)
    yield from _models(api)
    yield _webhooks(api, webhook_url)


def _unanswered(api: GatewayApi, error: CommandFailedError) -> Finding:
    if error.code is ExitCode.NOT_ALLOWED:
        return Finding(
            "credentials", State.PROBLEM, error.message, "Have a new key made: comfyui-gateway keys create --name NAME"
        )
    advice = (
        "Start it with comfyui-gateway run, or name another with --url. If it runs elsewhere: is the address right, "
        "and does a firewall let you through? In a container or WSL2, 127.0.0.1 is the container itself."
    )
    return Finding("gateway", State.PROBLEM, f"{api.url}: {error.message}", advice)


def _version(api: GatewayApi, health: HealthJson) -> Finding:
    said = f"{api.url} answers, version {health['version']}"
    if health["version"] != VERSION:
        return Finding("gateway", State.WARNING, said, f"This command is version {VERSION}: use the same one.")
    return Finding("gateway", State.GOOD, said)


def _clock(api: GatewayApi) -> Finding:
    ahead = api.clock_ahead_seconds
    if ahead is None:
        return Finding("clock", State.SKIPPED, "the gateway does not tell the time")
    off = abs(ahead)
    if off < _CLOCK_SECONDS:
        return Finding("clock", State.GOOD, "this machine's agrees with the gateway's")
    said = f"this machine's is {off:.0f} s {'behind' if ahead > 0 else 'ahead of'} the gateway's"
    state = State.PROBLEM if off >= _CLOCK_PROBLEM_SECONDS else State.WARNING
    return Finding("clock", state, said, "Set it by NTP: tokens, signatures and leases go by the time.")


def _role(api: GatewayApi) -> Finding:
    try:
        api.audit()
    except CommandFailedError as error:
        if error.code is not ExitCode.NOT_ALLOWED:
            return Finding("credentials", State.WARNING, error.message, "Try again.")
        return Finding("credentials", State.GOOD, "good, with the role user")
    if not api.signs_in:
        return Finding(
            "credentials",
            State.WARNING,
            "none, and none are asked for: whoever reaches the gateway is admin",
            "Well on your own machine. Else set API_KEYS or JWT_SECRET where it runs.",
        )
    return Finding("credentials", State.GOOD, "good, with the role admin")


def _executors(health: HealthJson) -> Iterator[Finding]:
    executors = health.get("executors", [])
    if not executors:
        yield Finding(
            "executors",
            State.PROBLEM,
            "none has reported within the last half minute, so no job runs",
            "Start one beside ComfyUI: comfyui-gateway worker. If one runs, its log says what it cannot reach.",
        )
    for executor in executors:
        comfyui = executor["comfyui"]
        what = f"comfyui of {executor['id']}"
        if comfyui["reachable"]:
            device = f", {comfyui['device']['name']}" if comfyui["device"] else ""
            yield Finding(what, State.GOOD, f"{comfyui['url']} answers{device}")
        else:
            yield Finding(
                what,
                State.PROBLEM,
                f"{comfyui['url']} does not answer its executor",
                "Is ComfyUI started, and COMFYUI_URL right? From a container or WSL2 it needs an address other than "
                "127.0.0.1, and ComfyUI the argument --listen; then look at the firewall.",
            )


def _models(api: GatewayApi) -> Iterator[Finding]:
    offered = api.capabilities()["models"]
    workflows = api.workflows()["workflows"]
    if not offered:
        yield Finding("models", State.SKIPPED, "no ComfyUI has told which it has")
        return
    fine = 0
    for each in workflows[:_MAX_WORKFLOWS]:
        workflow = api.workflow(each["id"])
        defaults = {
            name: field.get("default")
            for name, field in (workflow["inputSchema"].get("properties") or {}).items()
            if isinstance(field, dict)
        }
        missing = list(_missing(workflow["workflowJson"], {**workflow["defaultParams"], **defaults}, offered))
        fine += not missing
        for folder, name in missing:
            yield Finding(
                f"models of {each['id']}",
                State.PROBLEM,
                f"no ComfyUI has {name} in {folder}",
                f"Put it into models/{folder} on the GPU host, or have jobs name another.",
            )
    if fine:
        yield Finding("models", State.GOOD, f"{fine} workflows find what they name")
    if len(workflows) > _MAX_WORKFLOWS:
        left = len(workflows) - _MAX_WORKFLOWS
        yield Finding("models", State.SKIPPED, f"{left} more workflows were not looked at")


def _missing(
    graph: Mapping[str, Any], defaults: Mapping[str, Any], offered: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    for node in graph.values():
        for name, value in node.get("inputs", {}).items():
            folders = _FOLDERS.get(name)
            token = _TOKEN.fullmatch(value) if isinstance(value, str) else None
            file = defaults.get(token[1]) if token else value
            if folders is None or not isinstance(file, str) or not file or "{{" in file:
                continue
            names = [each for folder in folders for each in offered.get(folder, ())]
            if file not in names and len(names) < _MOST_LISTED:
                yield folders[0], file


def _webhooks(api: GatewayApi, url: str | None) -> Finding:
    if url is None:
        return Finding("webhooks", State.SKIPPED, "to try a receiver, name it: doctor --webhook URL")
    try:
        result = api.try_webhook(url)
    except CommandFailedError as error:
        return Finding("webhooks", State.PROBLEM, error.message, "docs/webhooks.md says where webhooks may go.")
    if result["delivered"]:
        return Finding("webhooks", State.GOOD, f"a sample arrived, and was answered with {result['statusCode']}")
    return Finding(
        "webhooks",
        State.PROBLEM,
        result["error"] or "it was not delivered",
        "The receiver has to answer with a 2xx within 10 s, at an address that the gateway reaches.",
    )
