"""The command `notecast`, also as `python -m notecast_client`."""

import os
import sys

from notecast_client import standard_streams


def main() -> None:
    """Runs the command; ends the process with its exit code."""
    standard_streams.prepare()
    # gRPC's own log would write into the chat; what matters is raised as an error.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from notecast_client.cli import app  # noqa: PLC0415 - opens files: the streams come first
    except ModuleNotFoundError as missing:
        sys.exit(
            f"notecast: there is no module {missing.name} here; what the command needs comes with"
            " pip install 'notecast[client]'"
        )
    try:
        app(prog_name="notecast")
    except OSError as error:  # of --help and --version; terminal.run handles other commands
        standard_streams.drop(sys.stdout.fileno())
        sys.exit(f"notecast: can't write: {error.strerror or error}")


if __name__ == "__main__":
    main()
