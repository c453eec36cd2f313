"""Remembers how far persisting had come some time ago; see position_marks.lua."""

from collections.abc import Callable, Iterable
from typing import Any

from history.scripts import LuaScript, ScriptCall
from notecast_runtime.keyspace import persisted_key
from notecast_runtime.redis.client import Redis


class PositionMarks:
    """Marks of how far partitions were persisted, and when. They are kept in Redis.

    Args:
        redis: where the marks are.
        key: returns the key of a partition's marks.
        age_seconds: how far the marks go back. More than 0.
        marks_per_age: the number of marks in that time. It bounds the marks of a partition, and
            how late `reached` may be.
        clock: seconds since 1970. An age has passed only if it has by this clock and by Redis's.
            None: only Redis's clock counts.

    Attributes:
        ahead_seconds: by how much Redis's clock was ahead of `clock` at the last call.
    """

    def __init__(
        self,
        redis: Redis,
        key: Callable[[int], str],
        *,
        age_seconds: float,
        marks_per_age: int,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._script = LuaScript(redis, "position_marks.lua")
        self._key = key
        self._arguments = (round(age_seconds * 1000), marks_per_age)
        self._clock = clock
        self.ahead_seconds = 0.0

    async def reached(self, partitions: Iterable[int]) -> dict[int, bytes | Exception]:
        """Marks the persisted positions of now, and returns those of an age ago.

        Raises one of REDIS_AWAY if Redis does not answer.

        Returns:
            For each partition the outbox id up to which all was persisted by then. Empty if that
            is not known; the error if its marks can't be read.

        Raises:
            AllRefusedError: Redis refuses them all.
        """
        numbers = list(partitions)
        keys = [(persisted_key(number), self._key(number)) for number in numbers]
        now = "" if self._clock is None else round(self._clock() * 1000)
        arguments = (*self._arguments, now)
        answers = await self._script.run([ScriptCall(each, arguments) for each in keys])
        return dict(zip(numbers, map(self._due, answers), strict=True))

    def _due(self, answer: Any) -> bytes | Exception:  # noqa: ANN401 - Redis's
        if isinstance(answer, Exception):
            return answer
        due, ahead = answer
        self.ahead_seconds = ahead / 1000
        return bytes(due)
