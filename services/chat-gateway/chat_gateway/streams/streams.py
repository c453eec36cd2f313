"""The open streams: bounds their number and age, and ends those whose clients don't read."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final, Protocol

import structlog

from notecast_runtime.errors import TooManyStreamsError
from notecast_runtime.tasks import not_cancelled
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import Shares

_SWEEPS_PER_LIMIT: Final = 4
_SWEEPS_PER_LIFETIME: Final = 20
_LONGEST_INTERVAL_SECONDS: Final = 5.0

# Sweeps are up to a twentieth late: so a stream lives within 20 % of its lifetime.
_SHORTEST_LIFE: Final = 0.8
_LONGEST_LIFE: Final = 1.15

_NEVER: Final = float("inf")

_LONGEST_WAIT_SECONDS: Final = 0.5
"""Bound on the wait before a client that was sent away comes back; spreads those of one sweep."""

_log = structlog.get_logger(__name__)


class Stream(Protocol):
    """A stream, as far as its client's reading and its end are concerned."""

    client: ClientId
    """The client that it belongs to."""

    @property
    def waiting_since(self) -> float | None:
        """Time since which pending data has made no progress; see `Outlet.waiting_since`."""

    def log_fields(self) -> Mapping[str, object]:
        """Its client and its positions, as fields of a line of the log; bounded in length."""

    def end_as_slow(self, waited_seconds: float, limit_seconds: float) -> None:
        """Ends the stream, because its client is too slow."""

    def send_away(self, after_seconds: float) -> bool:
        """Sends its client elsewhere, and ends the stream; without effect if it can't be told so.

        Args:
            after_seconds: the time after which the client is to come back.

        Returns:
            False if the stream does not flow yet; try again later.
        """


class Streams:
    """Bounds the streams of this gateway, in number and age, and ends those that are stuck.

    One sweep over all streams replaces a timer for each. A stream is stuck and freed with every
    note, so a timer would be set and cleared as often. A sweep over 10,000 streams takes a few
    milliseconds, every few seconds.

    Args:
        shares: bounds the open streams, in total and for each client.
        slow_reader_seconds: how long pending data of a stream may make no progress. The stream is
            ended after that, by at most a quarter of it or 5 s later.
        clock: the clock of the outlets, in seconds.
        lifetime_seconds: the age at which a stream is sent away, so that newer replicas get their
            share. It varies by up to 20 %, so that streams that came together don't leave
            together. 0: never.
    """

    def __init__(
        self,
        shares: Shares,
        slow_reader_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        lifetime_seconds: float = 0,
    ) -> None:
        self._shares = shares
        self._limit_seconds = slow_reader_seconds
        self._clock = clock
        self._lifetime_seconds = lifetime_seconds
        # Each with the time at which it is to be sent away.
        self._open: dict[Stream, float] = {}
        self._sent_away: set[Stream] = set()

    def __len__(self) -> int:
        """The number of open streams."""
        return len(self._open)

    @property
    def staying(self) -> int:
        """The number of open streams that were not sent away."""
        return len(self._open) - len(self._sent_away)

    def add(self, stream: Stream) -> None:
        """Counts a stream as open, until its status is out.

        Raises:
            TooManyStreamsError: the bound is reached, in total or for its client.
        """
        if refusal := self._shares.take(stream.client):
            raise TooManyStreamsError(refusal.limit, refusal.scope)
        self._open[stream] = self._end_of_life()

    def discard(self, stream: Stream) -> None:
        """Counts a stream as ended, if it is open."""
        if self._open.pop(stream, None) is not None:
            self._shares.give_back(stream.client)
        self._sent_away.discard(stream)

    def send_away(self, count: int) -> None:
        """Sends this many streams away, the oldest first, of those that were not sent away yet."""
        if count > 0:
            staying = (stream for stream in self._open if stream not in self._sent_away)
            for stream in tuple(islice(staying, count)):
                self._send_away(stream)

    async def run(self) -> None:
        """Sweeps until cancelled."""
        interval = min(self._limit_seconds / _SWEEPS_PER_LIMIT, _LONGEST_INTERVAL_SECONDS)
        if self._lifetime_seconds:
            interval = min(interval, self._lifetime_seconds / _SWEEPS_PER_LIFETIME)
        while not_cancelled():
            await asyncio.sleep(interval)
            self.sweep()

    def sweep(self) -> None:
        """Ends streams that have been stuck for too long; sends away those of full age."""
        now = self._clock()
        for stream, end_of_life in tuple(self._open.items()):
            since = stream.waiting_since
            if since is not None and now - since > self._limit_seconds:
                waited = round(now - since, 1)
                _log.info("slow_reader_ended", waited_seconds=waited, **stream.log_fields())
                stream.end_as_slow(now - since, self._limit_seconds)
            elif now >= end_of_life and stream not in self._sent_away:
                self._send_away(stream)

    def _end_of_life(self) -> float:
        if not self._lifetime_seconds:
            return _NEVER
        share = random.uniform(_SHORTEST_LIFE, _LONGEST_LIFE)  # noqa: S311 - jitter needs no secrecy
        return self._clock() + share * self._lifetime_seconds

    def _send_away(self, stream: Stream) -> None:
        after_seconds = random.uniform(0, _LONGEST_WAIT_SECONDS)  # noqa: S311 - as above
        # Mark it first: `send_away` may end the stream and discard it re-entrantly.
        self._sent_away.add(stream)
        if not stream.send_away(after_seconds) or stream not in self._open:
            self._sent_away.discard(stream)
