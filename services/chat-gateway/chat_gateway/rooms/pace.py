"""Decides when the next round of delivery may begin: pure arithmetic over the last round."""

from typing import NamedTuple

_LEAST_WAIT_ROUNDS = 1.5
"""The minimum pause after a round, as a multiple of the work of that round.

So delivery takes at most two fifths of the event loop, and leaves the rest to sends and health
checks. With more time, fewer notes would share a round, and rounds are what costs most.
"""

_BATCHING_ROUNDS = 10.0
"""The target interval between rounds, as a multiple of the work of one: rounds get a tenth.

Notes that come in the meantime go out in one write, which costs little more than a single note.
"""

_BATCHING_SECONDS = 0.008
"""Bound on that interval."""

_BATCHING_SECONDS_A_STREAM = 0.000_026
_BATCHING_SECONDS_OF_MANY = 0.012
"""The minimum interval for each stream that a round writes to, and the bound on their sum. For
proxies and readers a message of several notes costs little more than one with a single note, and
a round to many streams mostly takes their time."""

_STREAMS_OF_A_PROXY = 40
_BATCHING_SECONDS_A_PROXIED_STREAM = 0.000_040
_BATCHING_SECONDS_PROXIED = 0.020
"""A connection with this many streams of one room belongs to a proxy. A message costs the proxy
a multiple of what it costs the gateway, and all of its clients wait while it is busy. So it gets
fewer and larger messages: a longer interval for each stream, and a higher bound on their sum."""

_LONGEST_WAIT_SECONDS = 0.050
"""Bound on the wait of a note for its round, however long rounds are."""

_COMPANY_SHARE = 1 / 6
_COMPANY_SECONDS = 0.002
"""The extra wait of notes once their round may begin: a share of the interval, and its bound.
Batched requests are processed at that time, and their notes arrive a moment later. Such a note
begins the round at once and goes out with the rest. Otherwise it would wait for the next round, or
would have to arrive earlier and wake the gateway for itself."""


class Round(NamedTuple):
    """A round of delivery, from its start until its output was written."""

    seconds: float
    """Its duration."""

    work_seconds: float
    """The part of it that was work on the round. What other tasks and processes did in the meantime
    is no reason to let notes wait."""

    streams: int
    """The number of streams written to, each counted once for each of its rooms."""

    proxied_streams: int = 0
    """The number of these that go through a proxy."""


def are_proxied(streams: int, connections: int) -> bool:
    """Whether streams of one room share the connections of a proxy."""
    return streams >= _STREAMS_OF_A_PROXY * connections


def batching_interval(last: Round) -> float:
    """Target interval between the starts of two rounds, so that notes are batched.

    Returns:
        Seconds, from 0 to 0.02.
    """
    of_streams = min(last.streams * _BATCHING_SECONDS_A_STREAM, _BATCHING_SECONDS_OF_MANY)
    of_proxied = min(
        last.proxied_streams * _BATCHING_SECONDS_A_PROXIED_STREAM, _BATCHING_SECONDS_PROXIED
    )
    of_work = min(last.work_seconds * _BATCHING_ROUNDS, _BATCHING_SECONDS)
    return max(of_streams, of_proxied, of_work)


def wait_after(last: Round) -> float:
    """The wait after a round: seconds, from 0 to 0.05."""
    batching = batching_interval(last) - last.seconds
    return min(max(batching, last.work_seconds * _LEAST_WAIT_ROUNDS), _LONGEST_WAIT_SECONDS)


class Pace:
    """Spaces the rounds of delivery. All times are seconds of one clock.

    An idle gateway has no tick: a note that comes long enough after the last round does not wait.
    """

    def __init__(self) -> None:
        self._earliest = float("-inf")
        self._company = 0.0

    def round_ended(self, last: Round, now: float) -> None:
        """Learns of a round that ends at `now`."""
        wait = wait_after(last)
        self._earliest = now + wait
        self._company = min(wait * _COMPANY_SHARE, _COMPANY_SECONDS, _LONGEST_WAIT_SECONDS - wait)

    def wait(self, now: float) -> float:
        """Seconds from `now` until the next round may begin; 0: at once."""
        return max(self._earliest - now, 0.0)

    def wait_for_company(self, now: float) -> float:
        """Seconds from `now` until the next round begins if no other note comes; at most 0.05.

        0 if the round may begin at once: no note has waited then.
        """
        wait = self.wait(now)
        return wait + self._company if wait else 0.0
