"""Ports for processes that are started again on the same one."""

import random
import socket

_FROM, _TO = 20_000, 32_768
"""Below what Linux gives to connections (ip(7), ip_local_port_range): what a process has had
to give up for a while is not given to anybody else meanwhile."""


def lasting_ports(count: int) -> list[int]:
    """Different ports of 127.0.0.1 on which nothing listens.

    Raises:
        OSError: there are not so many.
    """
    found: list[int] = []
    for port in random.sample(range(_FROM, _TO), _TO - _FROM):
        if len(found) == count:
            return found
        if _is_free(port):
            found.append(port)
    raise OSError(f"no {count} free ports from {_FROM} to {_TO}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
