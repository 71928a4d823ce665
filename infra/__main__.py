"""Entry point of the CDK app: `python -m infra [STAGE]`. The command `cdk` runs it, see cdk.json."""

from __future__ import annotations

import sys

from gateway.errors import SettingsInvalidError
from infra.app import synthesize
from infra.stage import STAGES


def main() -> int:
    """Synthesize the templates. Returns the exit code."""
    try:
        synthesize(STAGES, stage=sys.argv[1] if len(sys.argv) > 1 else None)
    except SettingsInvalidError as error:
        sys.stderr.write(f"infra: {error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
