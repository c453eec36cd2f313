"""How far persisting had come an age ago: position_marks.lua."""

from collections.abc import Callable, Iterable
from typing import Any

from history.scripts import LuaScript, ScriptCall
from notecast_runtime.keyspace import persisted_key
from notecast_runtime.redis.client import Redis


class PositionMarks:
    """Marks of how far partitions were persisted, and when; kept in Redis.

    Args:
        redis: where they are.
        key: names a partition's marks.
        age_seconds: how far they go back. More than 0.
        marks_per_age: how finely that is divided: bounds the marks of a partition, and by how
            much `reached` falls behind.
        clock: seconds since 1970; an age has passed only when it has by this clock and by
            Redis's. None: Redis's counts alone.

    Attributes:
        ahead_seconds: how far Redis's clock was ahead of the other one when it was asked last.
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
        """Marks where persisting stands now, and says where it stood an age ago.

        Raises one of REDIS_AWAY where Redis does not answer.

        Returns:
            Of each partition the outbox id up to which all was persisted by then; empty where
            it is not known; what went wrong where its marks can't be read.

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
