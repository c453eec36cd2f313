"""What a caller is told when Redis is away."""

from collections.abc import Iterator
from contextlib import contextmanager

from notecast_runtime.errors import RedisUnavailableError
from notecast_runtime.redis_client import REDIS_AWAY


@contextmanager
def answering_redis() -> Iterator[None]:
    """Around commands that a caller waits for.

    Raises:
        RedisUnavailableError: Redis can't be reached or did not answer in time.
    """
    try:
        yield
    except REDIS_AWAY as error:
        raise RedisUnavailableError("Redis does not answer") from error
