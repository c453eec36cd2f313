"""Tells whether the address of a server is on this machine."""

import ipaddress
from contextlib import suppress


def is_local(target: str) -> bool:
    """Whether a gRPC target is this machine: a Unix socket, `localhost`, a loopback address.

    Args:
        target: for example HOST:PORT, `ipv6:[::1]:8080` or `unix:/run/notecast.sock`.
    """
    scheme, colon, rest = target.partition(":")
    if scheme in {"unix", "unix-abstract"}:
        return True
    if colon and scheme in {"dns", "ipv4", "ipv6"} and not rest.isdecimal():
        target = rest.rsplit("/", maxsplit=1)[-1]
    hosts = [_host(each) for each in target.split(",")]
    return all(map(_is_loopback, hosts))


def _host(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def _is_loopback(host: str) -> bool:
    if host.removesuffix(".").lower() == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    return False
