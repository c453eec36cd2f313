"""Becomes a program that the kernel kills when its supervisor is gone.

`leash.py SUPERVISOR_PID PROGRAM ARGUMENT...` runs as a process of its own: the setting survives the
exec (prctl(2), PR_SET_PDEATHSIG). It is SIGKILL, because no process would be left to watch a child
that is slow to end. Valkey has by then passed every write that it answered to the kernel. Only
Linux has this; other systems only have the orderly stop.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Runs until the exec."""
    supervisor, program = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != supervisor:
            raise SystemExit("the supervisor was gone before the leash was on")
    os.execv(program, sys.argv[2:])  # noqa: S606 - that is what it is for


if __name__ == "__main__":
    main()
