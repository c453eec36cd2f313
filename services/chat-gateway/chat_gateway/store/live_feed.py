"""The interface to live messages: notes as they are accepted."""

from collections.abc import Callable
from typing import Protocol

OnMessage = Callable[[str, bytes], None]
"""Takes a channel and a message that was published on it; must not block, nor raise."""

OnChange = Callable[[], None]
"""Called when `complete` has changed; must not block, nor raise."""


class LiveFeed(Protocol):
    """One connection with the subscriptions of the whole gateway.

    It may lose messages at any time: a message is only a hint that a log grew.
    """

    @property
    def complete(self) -> bool:
        """Whether all channels that were wanted when the connection was made are subscribed to."""

    async def subscribe(self, channel: str) -> None:
        """Subscribes to a channel; returns once Redis has confirmed it.

        While Redis is away, waits for its return. The caller bounds the wait.
        """

    def unsubscribe(self, channel: str) -> None:
        """Ends the subscription to a channel; messages that are under way may still come."""

    def replace(self) -> None:
        """Replaces the connection: it was found not to receive messages that it should."""
