"""Checks of doctor through the HTTP API: the gateway, credentials, clocks, executors, models, webhooks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cli.exit_codes import CommandFailedError, ExitCode
from gateway.__about__ import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cli.api import GatewayApi
    from functions.api.responses import HealthJson

_CLOCK_WARNING_SECONDS = 30  # JWTs and the times in lists are off by that
_CLOCK_PROBLEM_SECONDS = 300  # AWS rejects signatures that are older
_MAX_WORKFLOWS = 40  # each is a request, and requests are limited
_MAX_LISTED_MODELS = 200  # of a folder; a model beyond is not listed, and may exist all the same
_TOKEN = re.compile(r"\{\{\s*(\w+)\s*\}\}")
# Folders of ComfyUI, by the name of the input that names a file in them: https://docs.comfy.org/development/core-concepts/models
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


class CheckState(StrEnum):
    """Result of a check."""

    GOOD = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `advice`: how to fix it; empty if there is nothing to fix."""

    what: str
    state: CheckState
    message: str
    advice: str = ""


def check_gateway(api: GatewayApi, webhook_url: str | None) -> Iterator[Finding]:
    """Run all checks. Those that depend on a check that failed are left out."""
    try:
        health = api.health()
    except CommandFailedError as error:
        yield _unhealthy(error)
        return
    yield _version(api, health)
    yield _clock(api)
    if "executors" not in health:
        yield Finding(
            "credentials",
            CheckState.PROBLEM,
            "the gateway accepts no tokens" if api.has_credentials else "the gateway requires credentials",
            "Set COMFYUI_GATEWAY_API_KEY, or write a profile: comfyui-gateway init. An operator creates a key with "
            "comfyui-gateway keys create",
        )
        return
    yield _role(api)
    yield from _executors(health)
    yield from _models(api)
    yield _webhooks(api, webhook_url)


def _unhealthy(error: CommandFailedError) -> Finding:
    if error.code is ExitCode.NOT_ALLOWED:
        return Finding(
            "credentials",
            CheckState.PROBLEM,
            error.message,
            "Create a new key: comfyui-gateway keys create --name NAME",
        )
    network = (
        "If it runs elsewhere, check the address and the firewall. In a container or WSL2, 127.0.0.1 is the container "
        "itself."
    )
    return Finding("gateway", CheckState.PROBLEM, error.message, f"{error.advice} {network}".strip())


def _version(api: GatewayApi, health: HealthJson) -> Finding:
    message = f"{api.url} is healthy, version {health['version']}"
    if health["version"] != VERSION:
        return Finding("gateway", CheckState.WARNING, message, f"This command is version {VERSION}: use the same one.")
    return Finding("gateway", CheckState.GOOD, message)


def _clock(api: GatewayApi) -> Finding:
    ahead = api.clock_ahead_seconds
    if ahead is None:
        return Finding("clock", CheckState.SKIPPED, "the gateway's responses have no time")
    off = abs(ahead)
    if off < _CLOCK_WARNING_SECONDS:
        return Finding("clock", CheckState.GOOD, "in sync with the gateway's")
    message = f"{off:.0f} s {'behind' if ahead > 0 else 'ahead of'} the gateway's"
    state = CheckState.PROBLEM if off >= _CLOCK_PROBLEM_SECONDS else CheckState.WARNING
    return Finding("clock", state, message, "Synchronize it by NTP: tokens, signatures and leases depend on the time.")


def _role(api: GatewayApi) -> Finding:
    try:
        next(api.audit_pages(limit=1))
    except CommandFailedError as error:
        if error.code is not ExitCode.NOT_ALLOWED:
            return Finding("credentials", CheckState.WARNING, error.message, "Try again.")
        return Finding("credentials", CheckState.GOOD, "valid, with the role user")
    if not api.has_credentials:
        return Finding(
            "credentials",
            CheckState.WARNING,
            "none required: any caller is an admin",
            "Fine on your own machine. Otherwise set API_KEYS or JWT_SECRET for the gateway.",
        )
    return Finding("credentials", CheckState.GOOD, "valid, with the role admin")


def _executors(health: HealthJson) -> Iterator[Finding]:
    executors = health.get("executors", [])
    if not executors:
        yield Finding(
            "executors",
            CheckState.PROBLEM,
            "none reported within the last 30 seconds, so no job runs",
            "Start one next to ComfyUI: comfyui-gateway worker. If one is running, see its log.",
        )
    for executor in executors:
        comfyui = executor["comfyui"]
        what = f"comfyui of {executor['id']}"
        if comfyui["reachable"]:
            device = f", {comfyui['device']['name']}" if comfyui["device"] else ""
            yield Finding(what, CheckState.GOOD, f"{comfyui['url']} is reachable{device}")
        else:
            yield Finding(
                what,
                CheckState.PROBLEM,
                f"its executor cannot reach {comfyui['url']}",
                "Check that ComfyUI is running and COMFYUI_URL is right. From a container or WSL2, use an address "
                "other than 127.0.0.1, start ComfyUI with --listen, and check the firewall.",
            )


def _models(api: GatewayApi) -> Iterator[Finding]:
    offered = api.capabilities()["models"]
    workflows = api.workflows()["workflows"]
    if not offered:
        yield Finding("models", CheckState.SKIPPED, "no ComfyUI has reported its models")
        return
    complete = 0
    for each in workflows[:_MAX_WORKFLOWS]:
        workflow = api.workflow(each["id"])
        defaults = {
            name: field.get("default")
            for name, field in (workflow["inputSchema"].get("properties") or {}).items()
            if isinstance(field, dict)
        }
        missing = list(_missing(workflow["workflowJson"], {**workflow["defaultParams"], **defaults}, offered))
        complete += not missing
        for folder, name in missing:
            yield Finding(
                f"models of {each['id']}",
                CheckState.PROBLEM,
                f"no ComfyUI has {name} in {folder}",
                f"Put it into models/{folder} on the GPU host, or submit jobs with another.",
            )
    if complete:
        yield Finding("models", CheckState.GOOD, f"all models of {complete} workflows are present")
    if len(workflows) > _MAX_WORKFLOWS:
        unchecked = len(workflows) - _MAX_WORKFLOWS
        yield Finding("models", CheckState.SKIPPED, f"{unchecked} more workflows were not checked")


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
            if file not in names and len(names) < _MAX_LISTED_MODELS:
                yield folders[0], file


def _webhooks(api: GatewayApi, url: str | None) -> Finding:
    if url is None:
        return Finding("webhooks", CheckState.SKIPPED, "test a receiver: doctor --webhook URL")
    try:
        result = api.test_webhook(url)
    except CommandFailedError as error:
        return Finding(
            "webhooks",
            CheckState.PROBLEM,
            error.message,
            error.advice or "See docs/webhooks.md for the addresses that are allowed.",
        )
    if result["delivered"]:
        return Finding("webhooks", CheckState.GOOD, f"a sample was delivered, with status {result['statusCode']}")
    return Finding(
        "webhooks",
        CheckState.PROBLEM,
        result["error"] or "it was not delivered",
        "The receiver must return a 2xx status within 10 s, at an address that the gateway reaches.",
    )
