"""The streams at the end of a room's log: they share one position and the next run."""

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar

from chat_gateway.log.ring import Encoding, Run
from chat_gateway.transport.outlet import Audience, Outlet


class LiveReader(Protocol):
    """A stream at the end of a log."""

    encode: Encoding

    @property
    def outlet(self) -> Outlet:
        """The outlet to which it is written."""


Reader = TypeVar("Reader", bound=LiveReader)


class Left(NamedTuple, Generic[Reader]):
    """A reader that could not take a message that others took."""

    reader: Reader
    next_sequence: int
    """The first sequence that it was not sent."""


class LiveTail(Generic[Reader]):
    """The readers of one room that have been sent everything up to `sequence`.

    They are served together: only the transport does work for each of them.

    Args:
        sequence: the end of the log.
        make_audience: makes an audience; there is one for each encoding.
    """

    __slots__ = ("_audiences", "_make_audience", "_readers", "sequence")

    def __init__(self, sequence: int, make_audience: Callable[[], Audience]) -> None:
        self.sequence = sequence
        self._make_audience = make_audience
        self._audiences: dict[Encoding, Audience] = {}
        self._readers: dict[Outlet, Reader] = {}

    def __len__(self) -> int:
        """The number of readers."""
        return len(self._readers)

    @property
    def connections(self) -> int:
        """The number of their connections, each counted once for each encoding."""
        return sum(audience.connections for audience in self._audiences.values())

    def readers(self) -> Iterable[Reader]:
        """All readers at the tail."""
        return self._readers.values()

    def add(self, reader: Reader) -> None:
        """Adds a reader that has been sent everything up to `sequence`, and nothing more."""
        audience = self._audiences.get(reader.encode)
        if audience is None:
            audience = self._audiences[reader.encode] = self._make_audience()
        audience.add(reader.outlet)
        self._readers[reader.outlet] = reader

    def discard(self, reader: Reader) -> None:
        """Removes a reader, if it is here."""
        if reader.outlet in self._readers:
            self._let_go(reader.encode, reader.outlet)

    def dissolve(self) -> list[Reader]:
        """Removes all readers; returns them."""
        readers = list(self.readers())
        self._readers = {}
        self._audiences = {}
        return readers

    def send(self, run: Run) -> list[Left[Reader]]:
        """Sends the next run to all; removes and returns the readers that could not take it."""
        left: list[Left[Reader]] = []
        for encode, audience in tuple(self._audiences.items()):
            next_sequence = self.sequence + 1
            for body, after in encode(run):
                refused = audience.send(body) if body else ()
                left += [Left(self._let_go(encode, each), next_sequence) for each in refused]
                next_sequence = after
        self.sequence = run.next_sequence - 1
        return left

    def _let_go(self, encode: Encoding, outlet: Outlet) -> Reader:
        audience = self._audiences.get(encode)
        if audience is not None:
            audience.discard(outlet)
            if not len(audience):  # outlets whose stream has ended leave it by themselves
                del self._audiences[encode]
        return self._readers.pop(outlet)
