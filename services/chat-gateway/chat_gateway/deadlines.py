"""How long a call may wait for others, so that its own answer is in time."""

from typing import Any

from grpc import aio

_SHARE = 0.9
"""The rest is for the answer's way back."""


def time_left(context: aio.ServicerContext[Any, Any], at_most_seconds: float) -> float:
    """Seconds to wait at most: the bound, or less where the call's deadline comes first."""
    remaining = context.time_remaining()
    if remaining is None:
        return at_most_seconds
    return min(at_most_seconds, remaining * _SHARE)
