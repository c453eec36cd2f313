"""The order in which one reader sees one room's notes, and what it must be told. Pure."""

from collections.abc import Iterable

from notecast_client.cursors import Position
from tests.chaos.findings import Breach
from tests.chaos.records import Broken, Noted, WentBack

_NOWHERE = Position(0, 0)


class RoomOrder:
    """Hears what one reader hears of a room.

    Args:
        retreats: when Redis had older data of the room again.

    Attributes:
        last: the last place in order so far.
    """

    def __init__(self, retreats: Iterable[WentBack]) -> None:
        self._retreats = tuple(retreats)
        self._gone = {retreat.epoch for retreat in self._retreats}
        self.last = _NOWHERE
        self._told = False
        self._stretch: Position | None = None
        self._seen: set[Position] = set()
        self.untold: Noted | None = None
        """The last note that Redis has lost, and the reader was not told; None where it was."""

    def tell(self, broken: Broken) -> None:
        """A Discontinuity arrives."""
        self._told = True
        self._stretch = Position(0, broken.resumes_at.sequence - 1)
        self.untold = None

    def hear(self, noted: Noted) -> Breach | None:
        """A note arrives; says what is wrong with that, if anything."""
        place = noted.place
        breach = self._breach(place)
        if breach and self._is_shown_again(place):
            breach = None
            self.last = place
        self._seen.add(place)
        self.last = max(self.last, place)
        self._told = False
        if self._stretch is not None:
            self._stretch = max(self._stretch, place)
        self.untold = noted if place.epoch in self._gone else None
        return breach

    def _breach(self, place: Position) -> Breach | None:
        if place in self._seen:
            return Breach.REPEATED
        if place < self.last:
            return Breach.REORDERED
        if place.sequence <= self.last.sequence and not self._told:
            return Breach.UNANNOUNCED
        if self.untold is not None and place.epoch not in self._gone:
            return Breach.UNANNOUNCED
        return None

    def _is_shown_again(self, place: Position) -> bool:
        """Whether it was written to older data before all gateways had noticed, and told of.

        Whoever had read it there is told of the break like those who had read what is lost, and
        then gets it once more, and in order with what follows.
        """
        return (
            self._stretch is not None
            and place.epoch >= self._stretch.epoch
            and place.sequence > self._stretch.sequence
            and any(
                place.epoch == retreat.to.epoch and place.sequence > retreat.to.sequence
                for retreat in self._retreats
            )
        )
