"""The templates are valid for CloudFormation. Each synthesis checks the rules of AWS Solutions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.assembly import assembly
from tests.infra.stages import STAGES

pytestmark = pytest.mark.timeout(300)  # it may have to synthesize


def test_cfn_lint_finds_nothing() -> None:
    """In the templates of all stages."""
    linter = Path(sys.executable).with_name("cfn-lint")
    templates = [str(path) for stage in STAGES for path in assembly(stage).folder.glob("*.template.json")]
    # W3005: CDK adds DependsOn where a reference already implies it.
    run = subprocess.run(  # noqa: S603  our own files
        [linter, "--ignore-checks", "W3005", "--", *templates], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout
