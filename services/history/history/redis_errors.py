"""Turns errors of Redis into what a caller is told."""

from collections.abc import Iterator
from contextlib import contextmanager

from notecast_runtime.errors import RedisUnavailableError
from notecast_runtime.redis.client import REDIS_AWAY, RedisError
from notecast_runtime.redis.refusals import refusal_of, words_for


@contextmanager
def answering_redis() -> Iterator[None]:
    """Translates errors of commands that a caller waits for.

    Raises:
        RedisUnavailableError: Redis can't be reached, did not answer in time, or refuses all
            commands.
    """
    try:
        yield
    except (*REDIS_AWAY, RedisError) as error:
        if isinstance(error, REDIS_AWAY) or refusal_of(error):
            raise RedisUnavailableError(words_for(error)) from error
        raise
