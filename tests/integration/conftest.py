"""What tests of the history service share: its Redis, looked at and written to."""

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from notecast_runtime.redis.client import Redis
from tests.support.history_parts import connected
from tests.support.outbox_writer import OutboxWriter
from tests.support.valkey import ValkeyProcess


@pytest.fixture
def store(valkey: ValkeyProcess) -> Iterator[redis.Redis]:
    """A blocking client, to look at the data."""
    with valkey.client() as client:
        yield client


@pytest.fixture
def writer(store: redis.Redis) -> OutboxWriter:
    """Accepts notes as a gateway does."""
    return OutboxWriter(store)


@pytest.fixture
async def client(valkey: ValkeyProcess) -> AsyncIterator[Redis]:
    """A client as the service uses it."""
    async with connected(valkey.url) as client:
        yield client
