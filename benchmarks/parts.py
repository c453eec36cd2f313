"""The programs to start for the servers of a case, and where they will answer."""

import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from benchmarks.cases import GRPCIO, HUB, TUTORIAL, WIRE, WIRE_ENVOY
from benchmarks.children import free_ports
from notecast_local.child import Program
from notecast_local.edge import Edge
from notecast_local.envoy import CONFIGURATION, render
from notecast_local.ports import StackPorts
from notecast_local.readiness import listens
from notecast_local.settings import HOST
from notecast_local.stack import stages_of

_SETTINGS = {
    "NOTECAST_LOG_LEVEL": "warning",
    # 10,000 rooms with a reader each are a case, and just as many as a gateway takes by default.
    "NOTECAST_MAX_STREAMS": "20000",
    "NOTECAST_MAX_OPEN_ROOMS": "20000",
    # All load is of one client, and on a few connections.
    "NOTECAST_CLIENT_SHARE": "1",
    "NOTECAST_CONNECTION_SHARE": "1",
}

# A generator of load is a proxy with many clients on few connections.
_EDGE = Edge(streams_per_connection=1_000)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server answers.

    Attributes:
        server: its name, as in a case.
        addresses: host and port of each, all alike.
        processes: names of programs, by what they are in the system; the first is the one that
            figures per CPU-second are about.
    """

    server: str
    addresses: tuple[str, ...]
    processes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Part:
    """Programs that make up a system, and its endpoints."""

    programs: tuple[Program, ...]
    endpoints: tuple[Endpoint, ...]


def parts_for(servers: Collection[str], gateways: int, hub: Path, folder: Path) -> list[Part]:
    """Lists the programs to start for servers; peers are passed over.

    Args:
        servers: names.
        gateways: of each system of ours.
        hub: the hub's program.
        folder: for data; made, with what belongs into it.
    """
    folder.mkdir()
    parts = []
    if WIRE in servers or WIRE_ENVOY in servers:
        parts.append(_system(WIRE, gateways, WIRE_ENVOY in servers, folder / WIRE))
    if GRPCIO in servers:
        parts.append(_system(GRPCIO, gateways, False, folder / GRPCIO))  # noqa: FBT003
    if HUB in servers:
        parts.append(_hub(hub))
    if TUTORIAL in servers:
        parts.append(_tutorial())
    return parts


def _system(transport: str, gateways: int, envoy: bool, folder: Path) -> Part:  # noqa: FBT001
    """Valkey, history, gateways, and Envoy where wanted: as `make run` has them."""
    (folder / "valkey").mkdir(parents=True)
    ports = _ports(gateways)
    (folder / "envoy.yaml").write_text(render(CONFIGURATION.read_text(), ports, _EDGE))
    stages = stages_of(ports, folder, _environment(transport))
    programs = [_renamed(each, transport) for each in chain.from_iterable(stages)]
    valkey, history, *gateway_programs, envoy_program = programs
    processes = {
        "gateway": tuple(each.name for each in gateway_programs),
        "redis": (valkey.name,),
        "history": (history.name,),
    }
    addresses = tuple(f"{HOST}:{port}" for port in ports.gateways)
    direct = Endpoint(transport, addresses, processes)
    if not envoy:
        return Part(tuple(programs[:-1]), (direct,))
    through = Endpoint(
        WIRE_ENVOY, (f"{HOST}:{ports.clients}",), {**processes, "envoy": (envoy_program.name,)}
    )
    return Part(tuple(programs), (direct, through))


def _ports(gateways: int) -> StackPorts:
    clients, tutorial, envoy_admin, valkey, history, *rest = free_ports(5 + gateways)
    return StackPorts(clients, tutorial, envoy_admin, valkey, history, tuple(rest))


def _environment(transport: str) -> dict[str, str]:
    """As it is here, but for settings of ours: every run has the same."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NOTECAST_")}
    return {**kept, **_SETTINGS, "NOTECAST_TRANSPORT": transport}


def _renamed(program: Program, transport: str) -> Program:
    """Two systems run side by side, with their logs in one folder."""
    name = f"{transport}-{program.name}"
    return Program(name, program.command, program.environment, program.is_ready)


def _hub(program: Path) -> Part:
    (port,) = free_ports(1)
    return _single(HUB, (str(program), f"{HOST}:{port}"), port)


def _tutorial() -> Part:
    (port,) = free_ports(1)
    command = (sys.executable, "-m", "benchmarks.tutorial_server", str(port))
    return _single(TUTORIAL, command, port)


def _single(name: str, command: tuple[str, ...], port: int) -> Part:
    program = Program(name, command, dict(os.environ), partial(listens, HOST, port))
    return Part((program,), (Endpoint(name, (f"{HOST}:{port}",), {"server": (name,)}),))
