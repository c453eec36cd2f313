"""What a run is made of: pure values, which together with the code make it what it is."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from tests.chaos.faults import KINDS


@dataclass(frozen=True)
class Plan:
    """Everything that is chosen about a run.

    Attributes:
        seed: what the schedule and the parts of clients are drawn from.
        seconds: how long faults are injected.
        kinds: the names of the faults, each of which comes up before one comes again.
        pause_seconds: about how long it is from one fault's end to the next one's begin.
        gateways: how many there are.
        histories: how many replicas of the history service.
        busy_rooms: rooms in which most notes are written.
        quiet_rooms: rooms where a lost note is not soon followed by another.
        readers: streams that stay, or come later and stay.
        hops: the share of readers who leave again and again, to resume at once.
        hop_seconds: after how long they leave.
        busy_notes: notes a second, of all busy rooms together.
        quiet_notes: the same of the quiet rooms.
        settle_seconds: how long all may take, at the end, to catch up.
        without: the mechanisms of the services that are switched off, with commas between.
    """

    seed: int = 1
    seconds: float = 120.0
    kinds: tuple[str, ...] = tuple(KINDS)
    pause_seconds: float = 1.5
    gateways: int = 3
    histories: int = 2
    busy_rooms: int = 5
    quiet_rooms: int = 10
    readers: int = 200
    hops: float = 0.15
    hop_seconds: float = 7.0
    busy_notes: float = 50.0
    quiet_notes: float = 2.0
    settle_seconds: float = 20.0
    without: str = ""

    def __post_init__(self) -> None:
        if self.seconds <= 0 or min(self.gateways, self.histories, self.readers) < 1:
            raise ValueError(f"nothing would run: {self}")

    @property
    def gateway_names(self) -> tuple[str, ...]:
        """As in the schedule and the files."""
        return tuple(f"gateway-{number}" for number in range(1, self.gateways + 1))

    @property
    def history_names(self) -> tuple[str, ...]:
        """As in the schedule and the files."""
        return tuple(f"history-{number}" for number in range(1, self.histories + 1))

    def as_fields(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """The plan of which `as_fields` made the fields."""
        return cls(**fields | {"kinds": tuple(fields["kinds"])})
