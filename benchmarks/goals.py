"""The goals: ratios between servers of one run, never a speed by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.cases import GRPCIO, HUB, WIRE, WIRE_ENVOY
from benchmarks.figures import Figures, Results

DELAY_MARGIN_MS = 15.0
"""By how much the delay's 99th percentile may be above the hub's."""


class Unit(StrEnum):
    """The unit of a goal's figures."""

    TIMES = "x"
    MILLISECONDS = "ms"
    KIBIBYTES = "KiB"


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that must not be below, or above, a bound.

    Attributes:
        name: what it is about.
        measure: takes it from the results; None where these don't have it.
        bound: what must be reached.
        aim: what is wanted beyond that; None: nothing.
        unit: of all these.
        is_floor: whether more is better; else less is.
    """

    name: str
    measure: Callable[[Results], float | None]
    bound: float
    aim: float | None
    unit: Unit
    is_floor: bool = True

    def reached_by(self, value: float) -> bool:
        """Whether a figure is good enough."""
        return value >= self.bound if self.is_floor else value <= self.bound


def per_cpu_second(figures: Figures) -> float | None:
    """Deliveries for a CPU-second of the gateway, or of the hub."""
    return figures.per_cpu_second


def per_cpu_second_whole(figures: Figures) -> float | None:
    """Deliveries for a CPU-second of everything that a server needs."""
    return figures.per_cpu_second_whole


def ratio(
    of: tuple[str, str],
    to: tuple[str, str],
    figure: Callable[[Figures], float | None] = per_cpu_second,
) -> Callable[[Results], float | None]:
    """Divides the one's figure by the other's.

    Args:
        of: case and server.
        to: case and server.
        figure: which.
    """

    def measure(results: Results) -> float | None:
        if of not in results or to not in results:
            return None
        above, below = figure(results[of]), figure(results[to])
        return above / below if above is not None and below else None

    return measure


def _delay_above_hub(case: str) -> Callable[[Results], float | None]:
    def measure(results: Results) -> float | None:
        ours, hub = results.get((case, WIRE)), results.get((case, HUB))
        return None if ours is None or hub is None else ours.delay_p99_ms - hub.delay_p99_ms

    return measure


def _stream_kib(case: str) -> Callable[[Results], float | None]:
    def measure(results: Results) -> float | None:
        ours = results.get((case, WIRE))
        if ours is None or ours.bytes_per_stream is None:
            return None
        return ours.bytes_per_stream / 1024

    return measure


HUB_FLOORS = {
    "hot-room": (3.0, 6.0),
    "hot-room-own": (1.4, 2.0),
    "middle-rooms": (2.5, 3.5),
    "small-rooms": (1.0, 1.5),
    "small-rooms-fast": (1.0, 1.5),
}
"""By case: how many times the hub's deliveries a gateway must make of a CPU-second, and is to."""

GOALS = (
    *(
        Goal(
            f"{case}: wire, times the hub",
            ratio((case, WIRE), (case, HUB)),
            bound,
            aim,
            Unit.TIMES,
        )
        for case, (bound, aim) in HUB_FLOORS.items()
    ),
    *(
        Goal(
            f"{case}: p99 delay, above the hub's",
            _delay_above_hub(case),
            DELAY_MARGIN_MS,
            0.0,
            Unit.MILLISECONDS,
            is_floor=False,
        )
        for case in HUB_FLOORS
    ),
    Goal(
        "hot-room: wire, times grpcio",
        ratio(("hot-room", WIRE), ("hot-room", GRPCIO)),
        10.0,
        None,
        Unit.TIMES,
    ),
    Goal(
        "hot-room-envoy: the whole system, times the bare hub",
        ratio(("hot-room-envoy", WIRE_ENVOY), ("hot-room-envoy", HUB), per_cpu_second_whole),
        1.0,
        1.5,
        Unit.TIMES,
    ),
    Goal(
        "cost per delivery in 10,000 rooms, times that in 10",
        ratio(("rooms-10", WIRE), ("rooms-10000", WIRE)),
        1.15,
        None,
        Unit.TIMES,
        is_floor=False,
    ),
    Goal(
        "idle-shared: memory per stream",
        _stream_kib("idle-shared"),
        2.0,
        1.0,
        Unit.KIBIBYTES,
        is_floor=False,
    ),
    Goal(
        "idle-own: memory per stream",
        _stream_kib("idle-own"),
        8.0,
        5.0,
        Unit.KIBIBYTES,
        is_floor=False,
    ),
)
"""All that must be reached."""
