"""How long a call may wait for others, so that its own answer is in time."""

import time
from types import TracebackType
from typing import Any, Final

from grpc import aio

from notecast_runtime.errors import DeadlineExceededError, UnavailableError

_SHARE: Final = 0.9
"""The rest is for the answer's way back."""

_USED_UP: Final = 0.95
"""Of that time: timers may be early, and whoever waits may add some of its own."""


class Patience:
    """A wait for others: `with Patience(context, 2) as seconds`, which bounds the wait.

    Where the client's deadline is what bounds it, and the others were not in time, the call ends
    with DEADLINE_EXCEEDED, rather than with a fault of theirs.

    Args:
        context: the call.
        at_most_seconds: our own bound.
    """

    __slots__ = ("_seconds", "_used_up_at")

    def __init__(self, context: aio.ServicerContext[Any, Any], at_most_seconds: float) -> None:
        remaining = context.time_remaining()
        self._seconds = at_most_seconds
        self._used_up_at: float | None = None
        if remaining is not None and remaining * _SHARE < at_most_seconds:
            self._seconds = remaining * _SHARE
            self._used_up_at = time.monotonic() + self._seconds * _USED_UP

    def __enter__(self) -> float:
        """Seconds to wait at most: the bound, or less where the deadline comes first."""
        return self._seconds

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Says whose time was over.

        Raises:
            DeadlineExceededError: in the place of an UnavailableError.
        """
        if self._used_up_at is None or not isinstance(error, UnavailableError):
            return
        if time.monotonic() >= self._used_up_at:
            raise DeadlineExceededError(self._seconds / _SHARE) from error
