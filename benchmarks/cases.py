"""The loads, and what was measured under each."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One load.

    Attributes:
        name: what people call it.
        rooms: how many rooms.
        streams: streams in each room.
        connections: shared by all streams.
        notes_per_second: over all rooms.
    """

    name: str
    rooms: int
    streams: int
    connections: int
    notes_per_second: int

    @property
    def deliveries_per_second(self) -> int:
        """What the streams would get if nothing were late."""
        return self.notes_per_second * self.streams


CASES = (
    Case("hot room", rooms=1, streams=100, connections=10, notes_per_second=100),
    Case("middle rooms", rooms=20, streams=10, connections=10, notes_per_second=300),
    Case("small rooms", rooms=100, streams=2, connections=10, notes_per_second=500),
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one case gave.

    Attributes:
        seconds: how long was measured.
        sent: notes acknowledged.
        failed: sends that failed.
        delivered: notes that reached a stream.
        missing: notes acknowledged that did not reach a stream of their room.
        gateway_cpu_seconds: of the gateway's process.
        load_cpu_seconds: of the process that made the load. Near `seconds`, it was itself
            the bottleneck.
        delay_ms: from send to delivery: the median, the 99th percentile and the longest.
    """

    case: Case
    seconds: float
    sent: int
    failed: int
    delivered: int
    missing: int
    gateway_cpu_seconds: float
    load_cpu_seconds: float
    delay_ms: tuple[float, float, float]

    @property
    def deliveries_per_cpu_second(self) -> float:
        """The figure to compare."""
        return self.delivered / max(self.gateway_cpu_seconds, 0.01)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {"deliveries_per_cpu_second": self.deliveries_per_cpu_second}
