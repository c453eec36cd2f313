"""The number of files that a process may have open: each connection is one."""

import resource
from contextlib import suppress
from typing import Final

_MOST: Final = 1_048_576
"""Linux's default maximum (fs.nr_open); requested if there is no hard bound."""
_OWN_FILES: Final = 256
"""Kept for connections to Redis and to history, DNS and logs; a service needs some 60."""


def raise_open_files() -> None:
    """Raises the bound to the one that the system has set (the hard one), for the whole process.

    Shells and systemd begin with 1,024, for the sake of programs that call select(2). Where the
    system does not let it be raised, it stays.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def most_connections() -> int:
    """Returns the number of connections that clients may have, with files left for the service.

    A service whose clients have taken the last file can't connect to Redis again.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = _MOST
    return max(soft - _OWN_FILES, soft // 2, 1)
