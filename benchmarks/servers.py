"""The servers that are measured, as they run: ours, and peers that somebody else has started."""

import ipaddress
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import SERVERS
from benchmarks.children import running
from benchmarks.errors import UsageError
from benchmarks.parts import Part

PEER = "server"
"""The one part of a peer whose processes are given."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs.

    Attributes:
        name: as in a case.
        addresses: host and port of each, all alike.
        processes: process ids by part. Figures per CPU-second are about the first; all together
            are the whole system. Empty where they are not known.
    """

    name: str
    addresses: tuple[str, ...]
    processes: Mapping[str, tuple[int, ...]]

    @property
    def pids(self) -> tuple[int, ...]:
        """Of all parts."""
        return tuple(pid for pids in self.processes.values() for pid in pids)


def read_peers(text: str) -> tuple[Server, ...]:
    """Reads `name=host:port[@pid[+pid]],…`: servers that run already, on this machine.

    Raises:
        UsageError: it can't be read, a name is taken, or the host is not this machine.
    """
    return tuple(_peer(part.strip()) for part in text.split(",") if part.strip())


def _peer(text: str) -> Server:
    found = re.fullmatch(r"([\w.-]+)=([\w.:-]+|\[[\da-f:]+\]):(\d+)(?:@(\d+(?:\+\d+)*))?", text)
    if found is None:
        raise UsageError(f"a peer is name=host:port or name=host:port@pid+pid, not {text!r}")
    name, host, port, pids = found.groups()
    if name in SERVERS:
        raise UsageError(f"{name} is the name of a server here: choose another for the peer")
    if not _is_loopback(host.strip("[]")):
        raise UsageError(f"{host} is not this machine's loopback, the only place for such a load")
    processes = {PEER: tuple(map(int, pids.split("+")))} if pids else {}
    return Server(name, (f"{host}:{port}",), processes)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@asynccontextmanager
async def serving(parts: Sequence[Part], folder: Path) -> AsyncIterator[dict[str, Server]]:
    """Runs parts side by side until left; gives their servers by name, ready.

    Args:
        parts: what to start.
        folder: for logs.

    Raises:
        ServerError: one did not start.
    """
    programs = [program for part in parts for program in part.programs]
    async with running(programs, folder) as children:
        pids = iter([child.pid for child in children])
        servers = {}
        for part in parts:
            of_program = {program.name: next(pids) for program in part.programs}
            for endpoint in part.endpoints:
                processes = {
                    role: tuple(of_program[name] for name in names)
                    for role, names in endpoint.processes.items()
                }
                servers[endpoint.server] = Server(endpoint.server, endpoint.addresses, processes)
        yield servers
