"""When the next round of delivery may begin: pure arithmetic over what the last one was like."""

from typing import NamedTuple

_LEAST_WAIT_ROUNDS = 1.5
"""Between two rounds at least one and a half times as much time passes as the first one had work.

So delivery has two fifths of the event loop at most, and sends and health checks have the rest. To
give it more would make fewer notes share a round, where rounds are what costs most.
"""

_GATHERING_ROUNDS = 10.0
"""While nothing else needs the time, rounds are left a tenth of it.

What is gathered meanwhile goes out in one write, and costs little more than a single note.
"""

_GATHERING_SECONDS = 0.008
"""Nor lies more than this between the beginnings of two rounds, if they are short."""

_GATHERING_SECONDS_A_STREAM = 0.000_026
_GATHERING_SECONDS_OF_MANY = 0.012
"""But no less than that for each stream written to, up to this for all. A message of several notes
costs those who carry it on and those who read it little more than one of one, and it is their time
that a round to many streams takes."""

_STREAMS_OF_A_PROXY = 40
_GATHERING_SECONDS_A_PROXIED_STREAM = 0.000_040
_GATHERING_SECONDS_PROXIED = 0.020
"""Where a connection has this many streams of one room, it is not a client's, but a proxy's, which
carries all of them. A message costs it a multiple of what it costs us, and all of its clients wait
while it has no time, so it gets fewer and larger ones."""

_LONGEST_WAIT_SECONDS = 0.050
"""No note waits for longer than this for its round to begin, however long rounds are."""

_COMPANY_SHARE = 1 / 6
_COMPANY_SECONDS = 0.002
"""What waits for a round that may begin waits for so much longer, a part of the time between the
rounds: requests are taken then, and what they lead to is heard a moment later. It begins the round
at once, and goes with the rest; else it would wait for the next round, or would have to be heard
before and wake the gateway for itself."""


class Round(NamedTuple):
    """A round of delivery, from its beginning until what it gave out was written."""

    seconds: float
    """How long it took."""

    work_seconds: float
    """How much of that was work on it. What others did meanwhile, in this process or instead of it,
    is no reason to have notes wait."""

    streams: int
    """How many were written to, each counted once for each of its rooms."""

    proxied_streams: int = 0
    """How many of these a proxy carries on to its clients."""


def are_proxied(streams: int, connections: int) -> bool:
    """Whether streams of one room are such that share a proxy's connections."""
    return streams >= _STREAMS_OF_A_PROXY * connections


def batching_interval(last: Round) -> float:
    """How far this round's beginning and the next one's are apart, if short, so that notes gather.

    Returns:
        Seconds, from 0 to 0.02.
    """
    of_streams = min(last.streams * _GATHERING_SECONDS_A_STREAM, _GATHERING_SECONDS_OF_MANY)
    of_proxied = min(
        last.proxied_streams * _GATHERING_SECONDS_A_PROXIED_STREAM, _GATHERING_SECONDS_PROXIED
    )
    of_work = min(last.work_seconds * _GATHERING_ROUNDS, _GATHERING_SECONDS)
    return max(of_streams, of_proxied, of_work)


def wait_after(last: Round) -> float:
    """How long to wait behind a round: seconds, from 0 to 0.05."""
    gathering = batching_interval(last) - last.seconds
    return min(max(gathering, last.work_seconds * _LEAST_WAIT_ROUNDS), _LONGEST_WAIT_SECONDS)


class Pace:
    """Spaces rounds, on whatever clock its times are from.

    An idle gateway has no tick: who comes late enough behind the last round waits for nothing.
    """

    def __init__(self) -> None:
        self._earliest = float("-inf")
        self._company = 0.0

    def round_ended(self, last: Round, now: float) -> None:
        """Learns of a round that ends now, in seconds of the clock."""
        wait = wait_after(last)
        self._earliest = now + wait
        self._company = min(wait * _COMPANY_SHARE, _COMPANY_SECONDS, _LONGEST_WAIT_SECONDS - wait)

    def wait(self, now: float) -> float:
        """Seconds from now until the next round may begin; 0 where it may at once."""
        return max(self._earliest - now, 0.0)

    def wait_for_company(self, now: float) -> float:
        """Seconds from now until it begins for what waits already, if nothing else comes: to 0.05.

        0 where it may begin at once, for nothing has waited then.
        """
        wait = self.wait(now)
        return wait + self._company if wait else 0.0
