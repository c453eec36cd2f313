"""What a gateway hears of rooms while they grow."""

from collections.abc import Callable
from typing import Protocol

OnMessage = Callable[[str, bytes], None]
"""Takes a channel and what was published on it; must not block, nor raise."""

OnChange = Callable[[], None]
"""Learns that `complete` has changed; must not block, nor raise."""


class LiveFeed(Protocol):
    """One subscription connection for the whole gateway.

    It may lose messages at any time: what it brings is a hint that a log grew.
    """

    @property
    def complete(self) -> bool:
        """Whether all that was wanted when the connection was made is heard on it."""

    async def subscribe(self, channel: str) -> None:
        """Returns once the channel is heard: whatever is published from now on comes.

        While the other side is away it waits for its return; bound it.
        """

    def unsubscribe(self, channel: str) -> None:
        """Asks that the channel be heard no more; what is under way may still come."""

    def replace(self) -> None:
        """Gives up the connection for a new one: it was found not to hear what it should."""
