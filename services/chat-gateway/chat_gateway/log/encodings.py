"""Makes the messages of a service from a run of frames."""

from collections.abc import Callable, Sequence

from chat_gateway.log.ring import Run

Encoding = Callable[[Run], Sequence[Run]]
"""Turns a run of frames into runs of one message each.

It returns at least one; the last one ends where the given run ends. A body is empty if there is
nothing to send up to there. Streams with the same encoding (the same function) share its results.
"""


def as_frames(run: Run) -> Sequence[Run]:
    """Returns the run itself: a run of frames is a serialised SubscribeResponse."""
    return (run,)
