"""The CDK app: the stacks of a stage, one for each lifetime of resources."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import aws_cdk as cdk
import cdk_nag

from gateway.errors import SettingsInvalidError
from infra.api import ApiStack
from infra.bundle import LAMBDA, Platform
from infra.executor_policy import add_executor_policy
from infra.executors import ExecutorStack
from infra.module_graph import ROOT
from infra.monitoring import MonitoringStack
from infra.state import StateStack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from infra.stage import Stage


def synthesize(
    stages: Mapping[str, Stage], *, stage: str | None = None, platform: Platform = LAMBDA, folder: Path | None = None
) -> None:
    """Write the templates of a stage. By default the CDK context names it.

    Context and output folder come from the CDK command or from cdk.json, unless `folder` is given.
    Raises SettingsInvalidError when the stage does not exist, and RuntimeError when a rule of AWS Solutions is broken.
    """
    defaults = json.loads((ROOT / "cdk.json").read_text())
    if folder is None and "CDK_OUTDIR" not in os.environ:
        folder = ROOT / defaults["output"]
    app = cdk.App(
        # The CDK command passes both in the environment, and CDK reads them there.
        context=None if "CDK_CONTEXT_JSON" in os.environ else defaults["context"],
        outdir=None if folder is None else str(folder),
    )
    name = stage or app.node.get_context("stage")
    if name not in stages:
        raise SettingsInvalidError(f"stage: infra/stage.py has no stage {name!r}. Use {' or '.join(stages)}.")
    cdk.Validations.of(app).add_plugins(cdk_nag.AwsSolutionsChecks(app))
    _add_stage(app, stages[name], platform)
    app.synth()


def _add_stage(app: cdk.App, stage: Stage, platform: Platform) -> None:
    prefix = f"comfyui-gateway-{stage.name}"
    cdk.Tags.of(app).add("comfyui-gateway", stage.name)  # a cost allocation tag
    state = StateStack(app, f"{prefix}-state", stage)
    executor_policy = add_executor_policy(state, stage)
    api = ApiStack(app, f"{prefix}-api", stage=stage, state=state, platform=platform)
    logs = [function.log_group for function in api.functions.values()]
    if stage.executors is not None:
        stack = ExecutorStack(
            app,
            f"{prefix}-executors",
            stage=stage,
            executors=stage.executors,
            state=state,
            policy=executor_policy,
        )
        logs.append(stack.log_group)
    MonitoringStack(app, f"{prefix}-monitoring", stage=stage, state=state, api=api, logs=logs)
