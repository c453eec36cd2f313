"""Runs Lua scripts of this package in Redis."""

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
    """A script that is called by its digest, and sent only if Redis lacks it.

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

        The answer to a call that fails is its ResponseError; the other calls are not affected.
        Raises one of REDIS_AWAY if Redis does not answer; it is then unknown which calls have run.

        Raises:
            AllRefusedError: Redis refuses all calls, for a reason that none of them caused. The
                caller gets one error instead of one for each call.
        """
        answers = await self._send(calls)
        unknown = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:  # for example after a restart of Redis; these calls have not run
            await self._redis.script_load(self._text)
            again = await self._send([calls[i] for i in unknown])
            for i, answer in zip(unknown, again, strict=True):
                answers[i] = answer
        refusals = [refusal_of(answer) for answer in answers]
        if refusals and refusals[0] is not None and all(refusals):
            raise AllRefusedError(refusals[0], answers[0])
        return answers

    async def _send(self, calls: Sequence[ScriptCall]) -> list[Any]:
        # No transaction: the keys of different calls may be in different slots.
        async with self._redis.pipeline(transaction=False) as pipeline:
            for keys, arguments in calls:
                pipeline.evalsha(self._digest, len(keys), *keys, *arguments)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            return answers
