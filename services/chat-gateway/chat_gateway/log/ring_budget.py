"""One bound on the bytes of all rings together."""

from collections import OrderedDict
from typing import Protocol


class Shrinkable(Protocol):
    """A ring, as far as its size goes."""

    def give_up_some(self) -> None:
        """Lets go of what is missed least, and gives it back to the budget."""


class RingBudget:
    """Who takes bytes has them from those that have taken none for the longest time.

    The rings stand in the order of that, so room is found at the front without looking at
    the others: constant work a note, as each frame that is let go of was once taken. What
    an idle room loses is read from history by who comes back to it.

    Args:
        max_bytes: bound on the sum.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._held: OrderedDict[Shrinkable, int] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        """The sum of what the rings hold."""
        return self._bytes

    @property
    def exceeded(self) -> bool:
        """Whether the sum is over the bound."""
        return self._bytes > self._max_bytes

    def __len__(self) -> int:
        """How many rings hold something."""
        return len(self._held)

    def take(self, ring: Shrinkable, size: int) -> None:
        """Counts bytes that a ring holds from now on; the others make room for them.

        Where only this ring is left, `exceeded` is what it has to see to itself.
        """
        if not size:
            return
        self._bytes += size
        self._held[ring] = self._held.get(ring, 0) + size
        self._held.move_to_end(ring)
        while self.exceeded and (idlest := next(iter(self._held))) is not ring:
            idlest.give_up_some()

    def give_back(self, ring: Shrinkable, size: int) -> None:
        """Counts bytes that a ring has let go of."""
        if not size:
            return
        self._bytes -= size
        self._held[ring] -= size
        if not self._held[ring]:
            del self._held[ring]
