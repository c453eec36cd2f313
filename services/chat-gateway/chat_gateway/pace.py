"""When the next round of delivery may begin: pure arithmetic over how long the last one took."""

_LEAST_WAIT_ROUNDS = 1.0
"""Between two rounds at least as much time passes as the first one took.

So delivery has half of the event loop at most, and sends and health checks have the rest.
"""

_GATHERING_ROUNDS = 10.0
"""While nothing else needs the time, rounds are left a tenth of it.

What is gathered meanwhile goes out in one write, and costs little more than a single note.
"""

_GATHERING_SECONDS = 0.008
"""Nor lies more than this between the beginnings of two rounds, if they are short. It is a little
less than requests gather for (`notecast_runtime.server`): what they led to is delivered at once."""

_GATHERING_SECONDS_A_STREAM = 0.000_026
_GATHERING_SECONDS_OF_MANY = 0.013
"""But no less than that for each stream written to, up to this for all. A message of several notes
costs those who carry it on and those who read it little more than one of one, and it is their time
that a round to many streams takes: a proxy's is a multiple of ours."""

_LONGEST_WAIT_SECONDS = 0.050
"""No note waits for longer than this for its round to begin, however long rounds are."""


def wait_after(round_seconds: float, streams: int) -> float:
    """How long to wait behind a round.

    Args:
        round_seconds: how long it took, with the writes that it caused.
        streams: how many were written to, each counted once for each of its rooms.

    Returns:
        Seconds, from 0 to 0.05: as a rule at most 0.01.
    """
    of_streams = min(streams * _GATHERING_SECONDS_A_STREAM, _GATHERING_SECONDS_OF_MANY)
    of_rounds = min(round_seconds * _GATHERING_ROUNDS, _GATHERING_SECONDS)
    gathering = max(of_streams, of_rounds) - round_seconds
    return min(max(gathering, round_seconds * _LEAST_WAIT_ROUNDS), _LONGEST_WAIT_SECONDS)


class Pace:
    """Spaces rounds, on whatever clock its times are from.

    An idle gateway has no tick: who comes late enough behind the last round waits for nothing.
    """

    def __init__(self) -> None:
        self._earliest = float("-inf")

    def round_ended(self, began_at: float, ended_at: float, streams: int) -> None:
        """Learns of a round, in seconds of the clock, that wrote to so many streams."""
        self._earliest = ended_at + wait_after(ended_at - began_at, streams)

    def wait(self, now: float) -> float:
        """Seconds from now until the next round may begin; 0 where it may at once."""
        return max(self._earliest - now, 0.0)
