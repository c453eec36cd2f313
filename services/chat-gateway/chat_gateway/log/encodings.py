"""How a run of frames becomes the messages of a service."""

from collections.abc import Callable, Sequence

from chat_gateway.log.ring import Run

Encoding = Callable[[Run], Sequence[Run]]
"""Makes runs of one message each of a run of frames: at least one, the last of which ends with it.

A body is empty where there is nothing to be sent up to there. Who shares an encoding (the same
function) shares what it makes.
"""


def as_frames(run: Run) -> Sequence[Run]:
    """A run of frames is a serialised SubscribeResponse as it is."""
    return (run,)
