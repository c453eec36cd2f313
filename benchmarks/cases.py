"""The loads: what is measured, and on which servers."""

from dataclasses import dataclass
from enum import StrEnum

WIRE = "wire"
GRPCIO = "grpcio"
WIRE_ENVOY = "wire+envoy"
HUB = "hub"
TUTORIAL = "tutorial"

NOTECAST = frozenset({WIRE, GRPCIO, WIRE_ENVOY})
"""The servers that promise to lose and repeat nothing."""

SERVERS = NOTECAST | {HUB, TUTORIAL}
"""All servers of ours; peers have other names."""


class Mode(StrEnum):
    """The work of the load generator, as its -mode."""

    STEADY = "steady"
    IDLE = "idle"
    STORM = "storm"


class Dialect(StrEnum):
    """Which service takes the load; as the load generator's -dialect."""

    NOTECAST = "notecast"
    TUTORIAL = "tutorial"


@dataclass(frozen=True, slots=True)
class Case:
    """One load.

    Attributes:
        name: chooses it on the command line.
        title: says what it is.
        servers: that are measured, in this order.
        rooms: how many rooms.
        streams: streams in each room.
        connections: shared by all streams.
        notes_per_second: over all rooms; of a storm, none.
        in_flight: the most sends without an answer.
        mode: what is done.
        gateways: of the systems of ours.
        dialect: which service is spoken to.
        rounds: how often it is measured, the servers by turns; `Figures` tells what counts.
        quick: the servers that are also measured in a quick run, once.
        alone: each server is started for the measurement and ended after it.
        compared_as: cases that stand next to each other and have the same word here are compared,
            and so measured by turns as the servers of one case are.
    """

    name: str
    title: str
    servers: tuple[str, ...]
    rooms: int
    streams: int
    connections: int
    notes_per_second: int = 0
    in_flight: int = 200
    mode: Mode = Mode.STEADY
    gateways: int = 1
    dialect: Dialect = Dialect.NOTECAST
    rounds: int = 1
    quick: tuple[str, ...] = ()
    alone: bool = False
    compared_as: str = ""

    @property
    def deliveries_per_second(self) -> int:
        """Notes a second that all streams together get where nothing is late."""
        return self.notes_per_second * self.streams


STORM_NOTES = 1_000
"""Notes in the room that a storm joins."""

_ALL = (WIRE, GRPCIO, HUB)
_PAIR = (WIRE, HUB)

CASES = (
    Case(
        "hot-room",
        "1 room, 500 streams on 20 connections, 300 notes/s",
        _ALL,
        rooms=1,
        streams=500,
        connections=20,
        notes_per_second=300,
        rounds=3,
        quick=_ALL,
    ),
    Case(
        "hot-room-own",
        "1 room, 500 streams on 500 connections, 60 notes/s",
        _ALL,
        rooms=1,
        streams=500,
        connections=500,
        notes_per_second=60,
        rounds=2,
        quick=_PAIR,
    ),
    Case(
        "middle-rooms",
        "50 rooms of 20 streams, 20 connections, 1,000 notes/s",
        _ALL,
        rooms=50,
        streams=20,
        connections=20,
        notes_per_second=1_000,
        rounds=2,
        quick=_PAIR,
    ),
    Case(
        "small-rooms",
        "500 rooms of 2 streams, 20 connections, 1,000 notes/s",
        _ALL,
        rooms=500,
        streams=2,
        connections=20,
        notes_per_second=1_000,
        rounds=2,
        quick=_PAIR,
    ),
    Case(
        "small-rooms-fast",
        "500 rooms of 2 streams, 20 connections, 6,000 notes/s",
        _ALL,
        rooms=500,
        streams=2,
        connections=20,
        notes_per_second=6_000,
        in_flight=400,
        rounds=2,
        quick=_PAIR,
    ),
    Case(
        "hot-room-envoy",
        "the hot room through Envoy; the hub without",
        (WIRE_ENVOY, HUB),
        rooms=1,
        streams=500,
        connections=20,
        notes_per_second=300,
        rounds=2,
        quick=(WIRE_ENVOY, HUB),
    ),
    Case(
        "join-storm",
        f"1,000 streams on 20 connections join a room of {STORM_NOTES:,} notes at once",
        _ALL,
        rooms=1,
        streams=1_000,
        connections=20,
        mode=Mode.STORM,
        rounds=2,
        quick=_PAIR,
    ),
    *(
        Case(
            f"rooms-{rooms}",
            f"{rooms:,} rooms of 1 stream, 10 connections, 1,000 notes/s",
            (WIRE,),
            rooms=rooms,
            streams=1,
            connections=10,
            notes_per_second=1_000,
            rounds=3,
            compared_as="rooms",
        )
        for rooms in (10, 1_000, 10_000)
    ),
    *(
        Case(
            f"gateways-{gateways}",
            f"the hot room on {gateways} gateways",
            (WIRE, WIRE_ENVOY, HUB),
            rooms=1,
            streams=500,
            connections=20,
            notes_per_second=300,
            gateways=gateways,
        )
        for gateways in (2, 4)
    ),
    Case(
        "idle-shared",
        "500 rooms of 10 streams, 20 connections, 20 notes/s",
        _ALL,
        rooms=500,
        streams=10,
        connections=20,
        notes_per_second=20,
        mode=Mode.IDLE,
        quick=(WIRE,),
        alone=True,
    ),
    Case(
        "idle-own",
        "500 rooms of 3 streams, 1,500 connections, 20 notes/s",
        _ALL,
        rooms=500,
        streams=3,
        connections=1_500,
        notes_per_second=20,
        mode=Mode.IDLE,
        quick=(WIRE,),
        alone=True,
    ),
    Case(
        "tutorial",
        "the tutorial's service: 8 streams on 8 connections, 50 notes/s",
        (WIRE, HUB, TUTORIAL),
        rooms=1,
        streams=8,
        connections=8,
        notes_per_second=50,
        dialect=Dialect.TUTORIAL,
    ),
)


def named(names: str) -> tuple[Case, ...]:
    """Cases by name, comma separated; all of them for an empty text.

    Raises:
        ValueError: one is unknown; says which there are.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = {case.name: case for case in CASES}
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"no case is called {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(known[name] for name in wanted) or CASES
