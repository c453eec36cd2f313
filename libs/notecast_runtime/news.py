"""Whether something that goes on is worth another line in the log. Pure."""


class News:
    """Keeps the last thing that was told, so that what goes on unchanged is told once."""

    def __init__(self) -> None:
        self._told: tuple[object, ...] = ()

    def is_new(self, *what: object) -> bool:
        """Whether this is something else than the last time. From now on it counts as told."""
        told, self._told = self._told, what
        return what != told

    def forget(self) -> None:
        """It is over: the same, if it comes again, is new."""
        self._told = ()
