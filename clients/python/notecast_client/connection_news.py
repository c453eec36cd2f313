"""Reports a lost connection once, and its return once, however many attempts are in between."""

from collections.abc import Callable

from notecast_client.errors import ClientError
from notecast_client.rendering import neutralise


class ConnectionNews:
    """Watches the connection of a subscription.

    Args:
        tell: shows one line to the person.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._is_lost = False

    def lost(self, error: ClientError | None, _delay: float) -> None:
        """Reports that a stream ended; pass it to Client.subscribe(on_lost=…)."""
        if not self._is_lost:
            reason = f" ({neutralise(str(error))})" if error else ""
            self._tell(f"connection lost{reason}; trying again")
        self._is_lost = True

    def received(self) -> None:
        """Reports that an event came."""
        if self._is_lost:
            self._tell("connected again")
        self._is_lost = False
