"""Entry point of the command. Ctrl-C during the imports, which take a moment, exits as it does later."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command, and exit the process with its exit code."""
    try:
        from cli.main import app  # noqa: PLC0415  slow to import

        app()
    except KeyboardInterrupt:
        sys.stderr.write("comfyui-gateway: Stopped.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
