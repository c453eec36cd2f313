"""Becomes a program that the kernel kills when its supervisor is gone.

`leash.py SUPERVISOR_PID PROGRAM ARGUMENT...`, as a process of its own: what is set here
outlives the exec (prctl(2), PR_SET_PDEATHSIG). SIGKILL, because nobody would be left to
see to a child that is slow to end; Valkey has by then handed every write that it answered
to the kernel. Elsewhere than on Linux there is no such thing, and only the orderly stop.
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
