"""Bounds how long a call waits for other parts, so that its own answer is in time."""

import time
from types import TracebackType
from typing import Any, Final

from grpc import aio

from notecast_runtime.errors import DeadlineExceededError, UnavailableError

_SHARE: Final = 0.9
"""Share of the deadline for the wait; the rest is for the answer's way back."""

_USED_UP: Final = 0.95
"""Share of the wait after which it counts as used up: timers may be early."""


class Patience:
    """Bounds a wait for another part: `with Patience(context, 2) as seconds`.

    If the client's deadline bounds the wait, and the other part is not in time, the call ends with
    DEADLINE_EXCEEDED rather than with that part's error.

    Args:
        context: the call.
        at_most_seconds: the server's own bound.
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
        """The longest wait in seconds: the bound, or less if the deadline comes first."""
        return self._seconds

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tells apart whose time was over.

        Raises:
            DeadlineExceededError: instead of an UnavailableError, if the deadline was used up.
        """
        if self._used_up_at is None or not isinstance(error, UnavailableError):
            return
        if time.monotonic() >= self._used_up_at:
            raise DeadlineExceededError(self._seconds / _SHARE) from error
