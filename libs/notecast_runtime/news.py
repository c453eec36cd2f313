"""Decides whether a lasting state is worth another line in the log. Pure."""


class News:
    """Remembers what was told last, so that an unchanged state is told once."""

    def __init__(self) -> None:
        self._told: tuple[object, ...] = ()

    def is_new(self, *what: object) -> bool:
        """Whether this differs from the last call; counts as told from now on."""
        told, self._told = self._told, what
        return what != told

    def forget(self) -> None:
        """Forgets what was told: the state is over, and is new if it comes again."""
        self._told = ()
