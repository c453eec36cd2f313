"""In which order everything is measured, and how long that takes at most."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from benchmarks.cases import Case, Dialect, Mode

_START_SECONDS = 3.0  # of a stage: its servers start together, and end together
_QUIET_SECONDS = 0.5  # until the servers have seen off the streams of the measurement before
_JOINS_PER_SECOND = 2_000
_CONNECT_SECONDS = 0.3
_STORM_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How long each measurement takes, in seconds.

    Attributes:
        warm: sends before it.
        measured: what counts.
        settle: wait for notes on their way, at most.
        limit: of all measurements; nothing begins that would not end before it.
    """

    warm: float
    measured: float
    settle: float
    limit: float


# With building, drawing and writing they are the 10 minutes and 90 seconds that are promised.
FULL = Pace(warm=1.5, measured=5.0, settle=3.0, limit=560.0)
QUICK = Pace(warm=0.6, measured=2.0, settle=1.5, limit=80.0)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of the load generator against one server.

    Attributes:
        case: the load.
        server: its name.
        seconds: how long it takes, about.
    """

    case: Case
    server: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Stage:
    """Servers that run side by side, and what is measured on them, one after another.

    Attributes:
        servers: names.
        gateways: of each system of ours.
        measurements: in this order.
    """

    servers: tuple[str, ...]
    gateways: int
    measurements: tuple[Measurement, ...]

    @property
    def start_seconds(self) -> float:
        """Until the servers are ready, about."""
        return _START_SECONDS

    @property
    def seconds(self) -> float:
        """Estimate of its duration."""
        return _START_SECONDS + sum(each.seconds for each in self.measurements)


def quick_cases(cases: Sequence[Case]) -> tuple[Case, ...]:
    """Those of a quick run, with its servers; each is measured once."""
    return tuple(replace(case, servers=case.quick, rounds=1) for case in cases if case.quick)


def make_plan(cases: Sequence[Case], pace: Pace, peers: Sequence[str] = ()) -> tuple[Stage, ...]:
    """Puts the measurements of cases into stages.

    Cases that can share running servers do. Within a case the servers take turns, and so do cases
    that are compared, so that what else the machine does meets them alike.

    Args:
        cases: what to measure.
        pace: how long each takes.
        peers: names of further servers, which run already; they take part in every case but
            those that need a freshly started server or a number of gateways.
    """
    shared: dict[tuple[int, Dialect], list[Case]] = {}
    stages = []
    for case in cases:
        if case.alone:
            stages += [_stage([replace(case, servers=(server,))], pace) for server in case.servers]
        else:
            with_peers = (
                case if case.gateways > 1 else replace(case, servers=(*case.servers, *peers))
            )
            shared.setdefault((case.gateways, case.dialect), []).append(with_peers)
    return (*(_stage(together, pace) for together in shared.values()), *stages)


def _stage(cases: Sequence[Case], pace: Pace) -> Stage:
    servers = tuple(dict.fromkeys(server for case in cases for server in case.servers))
    measurements = tuple(
        Measurement(case, server, _seconds(case, pace))
        for _, compared in groupby(cases, key=lambda case: case.compared_as or case.name)
        for case, server in _turns(tuple(compared))
    )
    return Stage(servers, cases[0].gateways, measurements)


def _turns(cases: Sequence[Case]) -> Iterator[tuple[Case, str]]:
    """Cases and servers, in each round from the other end, so that none is always the first."""
    for number in range(max(case.rounds for case in cases)):
        pairs = [
            (case, server) for case in cases if number < case.rounds for server in case.servers
        ]
        yield from pairs if number % 2 == 0 else reversed(pairs)


def _seconds(case: Case, pace: Pace) -> float:
    joins = _CONNECT_SECONDS + case.rooms * case.streams / _JOINS_PER_SECOND
    if case.mode is Mode.STORM:
        return _QUIET_SECONDS + _CONNECT_SECONDS + pace.warm + _STORM_SECONDS
    # The tutorial's dialect has no sign that a stream has joined: the load waits a second.
    pause = 1.0 if case.dialect is Dialect.TUTORIAL else 0.0
    return _QUIET_SECONDS + joins + pause + pace.warm + pace.measured
