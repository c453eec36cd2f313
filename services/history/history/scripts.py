"""Lua scripts of this package, run in Redis."""

from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError

from notecast_runtime.redis.client import Redis
from notecast_runtime.redis.refusals import AllRefusedError, refusal_of


class ScriptCall(NamedTuple):
    """One run of a script."""

    keys: Sequence[str]
    arguments: Sequence[bytes | str | int]


class LuaScript:
    """A script that is called by its digest and handed over only where Redis lacks it.

    Args:
        redis: where it runs.
        name: the file in this package.
    """

    def __init__(self, redis: Redis, name: str) -> None:
        self._redis = redis
        self._text = files(__package__).joinpath(name).read_text()
        self._digest = sha1(self._text.encode()).hexdigest()  # noqa: S324 - Redis's choice

    async def run(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Sends the calls together; returns their answers in the same order.

        A call that fails has its ResponseError for an answer, and the others are not
        touched by it. Raises one of REDIS_AWAY where Redis does not answer; which calls
        have run is then unknown.

        Raises:
            AllRefusedError: Redis refuses them all, for a cause that has to do with none: one
                error for the caller, in place of as many as there are calls.
        """
        answers = await self._send(calls)
        unknown = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:  # as after a restart of Redis; those calls have not run
            await self._redis.script_load(self._text)
            again = await self._send([calls[i] for i in unknown])
            for i, answer in zip(unknown, again, strict=True):
                answers[i] = answer
        refusals = [refusal_of(answer) for answer in answers]
        if refusals and refusals[0] is not None and all(refusals):
            raise AllRefusedError(refusals[0], answers[0])
        return answers

    async def _send(self, calls: Sequence[ScriptCall]) -> list[Any]:
        # No transaction: the keys of different calls may lie in different slots.
        async with self._redis.pipeline(transaction=False) as pipeline:
            for keys, arguments in calls:
                pipeline.evalsha(self._digest, len(keys), *keys, *arguments)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            return answers
