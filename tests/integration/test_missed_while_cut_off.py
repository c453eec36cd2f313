"""Open streams whose gateway could not reach Redis for as long as notes are kept."""

import time
from collections.abc import AsyncIterator

import pytest
import redis

from chat_gateway.rooms.room import SURE_SECONDS
from notecast.v1.event_pb2 import Discontinuity
from notecast_runtime.keyspace import ages_key, heads_key, log_key, outbox_key, partition_of
from tests.chaos.proxy import Proxy
from tests.support.history_parts import grow_old
from tests.support.services import Gateway, Reader, running_gateway, running_history
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

ROOM = "lobby"
PARTITION = partition_of(ROOM)
AGE_SECONDS = 1_000
REMOVING = {
    "retention_seconds": AGE_SECONDS,
    "retention_sweep_seconds": 0.3,
    "outbox_trim_margin_seconds": 0,
}


class CutOff:
    """A stream at a gateway whose way to Redis can be cut, and another gateway, that stays.

    Args:
        proxy: that way.
        reader: the stream.
        gateway: the one that stays.
        store: the Redis.
    """

    def __init__(self, proxy: Proxy, reader: Reader, gateway: Gateway, store: redis.Redis) -> None:
        self.reader = reader
        self._proxy = proxy
        self._gateway = gateway
        self._store = store
        self._since = 0.0

    def begin(self) -> None:
        """Cuts the way."""
        self._proxy.refuse(on=True)
        self._proxy.cut()
        self._since = time.monotonic()

    async def end(self) -> None:
        """Mends the way, once it was cut for so long that notes may have come and gone."""
        trimmed = "of what is persisted, the outbox has the last note at most"
        await eventually(lambda: self._store.xlen(outbox_key(PARTITION)) == 1, trimmed)
        long_enough = self._since + SURE_SECONDS + 1
        await eventually(lambda: time.monotonic() > long_enough, "it was cut off for long enough")
        self._proxy.refuse(on=False)

    async def send(self, text: str) -> None:
        """Sends a note, by the other gateway."""
        await self._gateway.send(ROOM, text)

    async def forget(self) -> None:
        """Makes all notes of the room too old, until the room is forgotten."""
        await eventually(
            lambda: self._store.exists(log_key(ROOM)) and self._store.llen(ages_key(PARTITION)),
            "a sweep was here",
        )

        def left() -> bool:
            grow_old(self._store, PARTITION, AGE_SECONDS)
            return not self._store.hexists(heads_key(PARTITION), ROOM)

        await eventually(left, "the room is forgotten")


@pytest.fixture
async def cut_off(valkey: ValkeyProcess, store: redis.Redis) -> AsyncIterator[CutOff]:
    """Its stream has been shown one note."""
    store.config_set("stream-node-max-entries", 1)  # so that the outbox is trimmed at once
    async with (
        Proxy(valkey.port) as proxy,
        running_history(valkey.url, **REMOVING) as history,
        running_gateway(proxy.redis_url, history) as gateway,
        running_gateway(valkey.url, history) as other,
        gateway.read(ROOM) as reader,
    ):
        assert await reader.kinds(1) == ["caught_up"]
        await other.send(ROOM, "seen")
        assert await reader.kinds(1) == ["seen"]
        yield CutOff(proxy, reader, other, store)


@pytest.mark.parametrize("young", [[], ["young"]], ids=["nothing since", "and another note came"])
async def test_an_open_stream_is_told_of_notes_that_came_and_grew_too_old_meanwhile(
    cut_off: CutOff, young: list[str]
) -> None:
    cut_off.begin()
    await cut_off.send("missed")
    await cut_off.forget()
    for text in young:
        await cut_off.send(text)
    await cut_off.end()
    event = await cut_off.reader.event()
    assert event.discontinuity.reason == Discontinuity.REASON_RETENTION
    assert event.discontinuity.after.sequence == 1
    assert await cut_off.reader.kinds(len(young)) == young
    await cut_off.send("next")
    assert await cut_off.reader.kinds(1) == ["next"], "it is told once"


@pytest.mark.parametrize("young", [[], ["young"]], ids=["nothing since", "and another note came"])
async def test_an_open_stream_that_missed_nothing_meanwhile_is_told_nothing(
    cut_off: CutOff, young: list[str]
) -> None:
    cut_off.begin()
    await cut_off.forget()
    for text in young:
        await cut_off.send(text)
    await cut_off.end()
    await cut_off.send("next")
    assert await cut_off.reader.kinds(1 + len(young)) == [*young, "next"]
