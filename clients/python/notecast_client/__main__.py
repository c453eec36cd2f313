"""The command `notecast`, also as `python -m notecast_client`."""

import os

from notecast_client.cli import app


def main() -> None:
    """Runs the command; ends the process with its exit code."""
    # gRPC's own log would write into the chat; what matters of it comes back as an error.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    app(prog_name="notecast")


if __name__ == "__main__":
    main()
