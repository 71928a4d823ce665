"""The app: a stage's stacks, by how long what is in them lives."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import aws_cdk as cdk
import cdk_nag

from gateway.errors import SettingsInvalidError
from infra.api import ApiStack
from infra.bundle import LAMBDA, Platform
from infra.executors import ExecutorStack
from infra.module_graph import ROOT
from infra.monitoring import MonitoringStack
from infra.state import StateStack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from infra.stage import Stage


def synthesise(
    stages: Mapping[str, Stage], *, stage: str | None = None, platform: Platform = LAMBDA, folder: Path | None = None
) -> None:
    """Write the templates of a stage, which the context names unless it is given.

    Context and folder are the CDK command's, or else those in cdk.json, unless a folder is given.
    Raises SettingsInvalidError when there is no such stage, and RuntimeError when a rule of AWS Solutions is broken.
    """
    defaults = json.loads((ROOT / "cdk.json").read_text())
    if folder is None and "CDK_OUTDIR" not in os.environ:
        folder = ROOT / defaults["output"]
    app = cdk.App(
        # The command hands over both in the environment, where CDK finds them.
        context=None if "CDK_CONTEXT_JSON" in os.environ else defaults["context"],
        outdir=None if folder is None else str(folder),
    )
    name = stage or app.node.get_context("stage")
    if name not in stages:
        raise SettingsInvalidError(f"stage: there is no {name!r} in infra/stage.py; try {' or '.join(stages)}")
    cdk.Validations.of(app).add_plugins(cdk_nag.AwsSolutionsChecks(app))
    _add_stage(app, stages[name], platform)
    app.synth()


def _add_stage(app: cdk.App, stage: Stage, platform: Platform) -> None:
    prefix = f"comfyui-gateway-{stage.name}"
    cdk.Tags.of(app).add("comfyui-gateway", stage.name)  # by which the bill can be told apart
    state = StateStack(app, f"{prefix}-state", stage)
    api = ApiStack(app, f"{prefix}-api", stage=stage, state=state, platform=platform)
    logs = [function.log_group for function in api.functions.values()]
    if stage.executors is not None:
        stack = ExecutorStack(app, f"{prefix}-executors", stage=stage, executors=stage.executors, state=state)
        logs.append(stack.log_group)
    MonitoringStack(app, f"{prefix}-monitoring", stage=stage, state=state, api=api, logs=logs)
