"""The Lua scripts and their restatement in `redis_rules.py` do the same, step for step.

Random steps go through both: through the services' own callers of the scripts on a real Valkey, and
through the restatement that the models use. After each step both hold the same data. Redis's clock
and the ids that it gives out are taken from the real one.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import pytest

from chat_gateway.log.epochs import EpochEnd
from chat_gateway.store.accept import Acceptor, Submission
from chat_gateway.store.heads import Heads, known
from history.outbox_reader import Batch, OutboxReader
from history.persist_script import Persisted, Persister
from history.scripts import LuaScript, ScriptCall
from notecast.v1.note_pb2 import Note as NoteMessage
from notecast_runtime.errors import NoteIdTakenError
from notecast_runtime.keyspace import (
    FLOOR_FIELD,
    KNOWN_FROM_FIELD,
    began_key,
    epoch_end_prefix,
    epoch_key,
    epochs_key,
    forgotten_before_key,
    forgotten_field,
    forgotten_key,
    heads_key,
    log_key,
    outbox_key,
    partition_of,
    persisted_key,
    run_key,
    sent_key,
)
from notecast_runtime.outbox import OutboxId
from notecast_runtime.redis.client import Redis, connect
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.epoch_guard import EpochGuard
from notecast_runtime.redis.fencing import Begin
from notecast_runtime.redis.pipeline import RedisPipeline
from notecast_wire import Deadlines
from tests.model import redis_rules
from tests.model.redis_rules import (
    BEGIN,
    NOTHING_SEEN,
    Answer,
    Data,
    Entry,
    Fence,
    Forgotten,
    Note,
    SeenId,
)
from tests.support.valkey import ValkeyProcess

_ROOM = "room"
_PARTITION = partition_of(_ROOM)
_IDS = ("a", "b")
_BODIES = ("one", "two")
_REMEMBERED = 2
_RETENTION_NOTES = 3
_BATCH_NOTES = 2
_MARGINS = (0, 60_000)
_IN_HAND = 3
_TIMEOUT_SECONDS = 5.0
_WINDOW_SECONDS = 300.0
_STEPS = 300
_AFTER_ALL = f"{10**15}-0"
"""An outbox id up to which every note is."""


class Both:
    """The real data, and the restated ones, under the same steps."""

    def __init__(self, redis: Redis, acceptor: Acceptor, chance: random.Random) -> None:
        self.seen: Counter[str] = Counter()
        self._redis = redis
        self._acceptor = acceptor
        self._chance = chance
        self._data = Data(run=0)
        self._runs = 0
        self._batches: list[Batch] = []
        self._last_epoch = 0
        self._ids_seen: tuple[OutboxId, ...] = ()
        self._guard = files("notecast_runtime.redis").joinpath("guard.lua").read_text()

    async def step(self) -> None:
        """Takes a random step on both sides, and compares."""
        steps = (self._accept, self._accept_with_id, self._read_batch, self._persist)
        rare = (self._begin_run, self._read_head, self._retire, self._grow_old, self._vanish)
        back = (self._go_back, self._meet_who_has_seen_more)
        step = self._chance.choice((*steps * 4, *rare, *back * 3, self._meet_who_was_elsewhere))
        await step()
        self.seen[step.__name__.strip("_")] += 1
        self._last_epoch = max(self._last_epoch, self._data.epoch or 0)
        self._ids_seen = (*self._ids_seen, self._data.last_id)[-_IN_HAND:]
        assert await self._held() == self._data, step.__name__

    async def _accept(self) -> None:
        accepted = await self._acceptor.accept(_submission("", "three"), _TIMEOUT_SECONDS)
        outbox_id, clock = await self._clocks()
        self._data, note = redis_rules.accept(self._data, "three", outbox_id, clock)
        assert (accepted.epoch, accepted.sequence) == (note.epoch, note.sequence)

    async def _accept_with_id(self) -> None:
        note_id, body = self._chance.choice(_IDS), self._chance.choice(_BODIES)
        answer = await self._ask(_submission(note_id, body))
        outbox_id, clock = await self._clocks()
        self._data, restated = redis_rules.accept_once(self._data, note_id, body, outbox_id, clock)
        assert answer == restated
        self.seen["taken" if answer is None else "duplicate" if answer.duplicate else "new"] += 1

    async def _ask(self, submission: Submission) -> Answer | None:
        try:
            accepted = await self._acceptor.accept(submission, _TIMEOUT_SECONDS)
        except NoteIdTakenError:
            return None
        return Answer(accepted.epoch, accepted.sequence, accepted.duplicate)

    async def _read_batch(self) -> None:
        reader = OutboxReader(self._redis, batch_notes=_BATCH_NOTES, block_seconds=0.001)
        reading = await reader.read(await reader.positions([_PARTITION]))
        self._batches = [*self._batches, *reading.batches][-_IN_HAND:]

    async def _persist(self) -> None:
        """Persists a batch that may have been read long ago, and may have been persisted."""
        if not self._batches:
            return
        batch, margin = self._chance.choice(self._batches), self._chance.choice(_MARGINS)
        await self._persist_batch(batch, margin)

    async def _persist_batch(self, batch: Batch, margin: int) -> None:
        persister = Persister(
            self._redis,
            retention_notes=_RETENTION_NOTES,
            outbox_trim_margin_seconds=margin / 1000,
        )
        [outcome] = await persister.persist([batch])
        entries = tuple(
            Entry(e.outbox_id, _note(e.epoch, e.sequence, e.note, e.floor)) for e in batch.entries
        )
        epoch = int(batch.epoch) if batch.epoch else None
        trim = BEGIN if margin else entries[-1].outbox_id
        data = redis_rules.persist(self._data, epoch, entries, _RETENTION_NOTES, trim)
        assert isinstance(outcome, Persisted) == (data is not None)
        self.seen["refused" if data is None else "persisted"] += 1
        self._data = data or self._data

    async def _begin_run(self) -> None:
        self._runs += 1
        await self._meet(NOTHING_SEEN)

    async def _meet_who_has_seen_more(self) -> None:
        """The same run answers somebody who has seen what is there, or not there any more."""
        fence = Fence(
            self._chance.choice((self._data.epoch or 0, self._last_epoch)),
            self._chance.choice((*self._ids_seen, BEGIN)),
            self._chance.choice((*self._ids_seen, BEGIN)),
        )
        begun = self._data.epoch
        await self._meet(fence)
        self.seen["older" if self._data.epoch != begun else "no older"] += 1

    async def _meet_who_was_elsewhere(self) -> None:
        """It has seen an epoch that began in other data, or that is no longer remembered."""
        epochs = [end.epoch for end in self._data.ends]
        if not epochs:
            return
        elsewhere = self._chance.choice(epochs) + self._chance.choice((-1, 0, 1))
        begins = tuple(
            Begin(elsewhere, epoch, self._chance.choice((*self._ids_seen, BEGIN)))
            for epoch in epochs
            if self._chance.random() < 0.8
        )
        ends = self._data.ends
        await self._meet(Fence(elsewhere, begins=begins))
        self.seen["parted" if self._data.ends != ends else "not parted"] += 1

    async def _meet(self, fence: Fence) -> None:
        fork = fence.fork or BEGIN
        own_keys = (epoch_key, run_key, heads_key, epochs_key, outbox_key, began_key)
        keys = [key(_PARTITION) for key in own_keys]
        stored: Any = await self._redis.get(run_key(_PARTITION)) or b"0"
        run = str(self._runs) if self._runs else stored.decode()  # 0 stands for the server's own
        prefix = epoch_end_prefix(_PARTITION)
        begins = " ".join(f"{each.previous} {each.entry}" for each in fence.begins or ())
        seen = (str(fence.epoch), str(fence.newest), str(fork), begins)
        await self._redis.eval(self._guard, len(keys), *keys, run, prefix, str(_REMEMBERED), *seen)
        _, clock = await self._clocks()
        self._data = redis_rules.guard(self._data, self._runs, clock, _REMEMBERED, fence)

    async def _read_head(self) -> None:
        heads = await Heads(self._redis).read([_ROOM])
        newest, clock = await self._clocks()
        self._data = redis_rules.ensure_epoch(self._data, clock)
        assert known(heads[_ROOM])[:3] == (clock, redis_rules.stands_at(self._data), newest)
        history = await Heads(self._redis).epoch_history(_ROOM)
        assert history.head[:2] == known(heads[_ROOM])[:2]
        assert tuple(history.ends) == redis_rules.told_ends(self._data)

    async def _retire(self) -> None:
        count = self._chance.randint(1, _RETENTION_NOTES)
        script = LuaScript(self._redis, "age_retention.lua")
        of_partition = (heads_key, epochs_key, forgotten_key, forgotten_before_key)
        keys = [log_key(_ROOM), *(key(_PARTITION) for key in of_partition)]
        arguments: list[str | int] = [_AFTER_ALL, count, _ROOM, epoch_end_prefix(_PARTITION), 9]
        [answer] = await script.run([ScriptCall(keys, arguments)])
        before, self._data = self._data, redis_rules.retire(self._data, count)
        forgotten = bool(before.head and not self._data.head)
        assert answer == [min(count, len(before.stream)), forgotten]
        self.seen["forgotten" if forgotten else "not forgotten"] += 1

    async def _grow_old(self) -> None:
        """All is persisted, and retired: the room is forgotten."""
        while True:
            reader = OutboxReader(self._redis, batch_notes=_BATCH_NOTES, block_seconds=0.001)
            reading = await reader.read(await reader.positions([_PARTITION]))
            if not reading.batches:
                break
            self._batches = [*self._batches, *reading.batches][-_IN_HAND:]
            await self._persist_batch(reading.batches[0], 60_000)
        for _ in range(_RETENTION_NOTES):
            await self._retire()

    async def _vanish(self) -> None:
        if self._chance.random() < 0.2:
            await self._redis.flushall()
            self._data = Data()

    async def _go_back(self) -> None:
        """The same run has lost its newest note, which was not persisted yet."""
        if not self._data.outbox or self._data.persisted >= self._data.last_id:
            return
        *older, lost = self._data.outbox
        if not older:
            return
        newest = str(older[-1].outbox_id)
        outbox = outbox_key(_PARTITION)
        entries: Any = await self._redis.xrange(outbox)
        await self._redis.delete(outbox)
        for outbox_id, fields in entries[:-1]:
            await self._redis.xadd(outbox, fields, id=outbox_id)
        added = ("ENTRIESADDED", self._data.added - 1, "MAXDELETEDID", "0-0")
        await self._redis.execute_command("XSETID", outbox, newest, *added)  # type: ignore[no-untyped-call]
        await self._redis.hset(heads_key(_PARTITION), _ROOM, lost.note.sequence - 1)
        self._data = self._data._replace(
            outbox=tuple(older),
            last_id=older[-1].outbox_id,
            added=self._data.added - 1,
            head=lost.note.sequence - 1,
        )

    async def _clocks(self) -> tuple[OutboxId, int]:
        """The newest id that the outbox gave out, and the epoch."""
        newest: Any = await self._redis.xrevrange(outbox_key(_PARTITION), count=1)
        epoch = await self._redis.get(epoch_key(_PARTITION))
        return OutboxId.parse(newest[0][0]) if newest else BEGIN, int(epoch or 0)

    async def _held(self) -> Data:
        redis = self._redis
        keys = (epoch_key, began_key, run_key, persisted_key)
        facts: Any = await redis.mget(key(_PARTITION) for key in keys)
        epoch, began, run, persisted = facts
        head, floor = await redis.hmget(heads_key(_PARTITION), _ROOM, FLOOR_FIELD)
        of_forgotten = (forgotten_field(_ROOM), KNOWN_FROM_FIELD)
        remembered: Any = await redis.hmget(forgotten_key(_PARTITION), *of_forgotten)
        last, known_from = remembered
        outbox: Any = await redis.xrange(outbox_key(_PARTITION))
        stream: Any = await redis.xrange(log_key(_ROOM))
        return Data(
            run=None if run is None else int(run) if run.isdigit() and len(run) < 9 else 0,
            epoch=None if epoch is None else int(epoch),
            began=None if began is None else Begin.parse(int(epoch), began),
            ends=await self._ends(_ROOM, FLOOR_FIELD),
            end_floors=tuple(end.end for end in await self._ends(FLOOR_FIELD)),
            was_there=tuple(end.end > -1 for end in await self._ends(_ROOM, default=-1)),
            forgotten=_forgotten(last),
            known_from=None if known_from is None else int(known_from),
            head=int(head or 0),
            floor=int(floor or 0),
            outbox=tuple(
                Entry(OutboxId.parse(i), _note(int(f[b"e"]), int(f[b"s"]), f[b"n"], _floor(f)))
                for i, f in outbox
            ),
            last_id=OutboxId.parse(await self._outbox_fact("last-generated-id") or "0-0"),
            added=await self._outbox_fact("entries-added") or 0,
            persisted=OutboxId.parse(persisted) if persisted else BEGIN,
            stream=tuple(_note(int(f[b"e"]), _sequence(i), f[b"n"], _floor(f)) for i, f in stream),
            last_sequence=await self._last_sequence(),
            seen=await self._ids(self._data.seen),
        )

    async def _ends(self, *fields: str, default: int = 0) -> tuple[EpochEnd, ...]:
        epochs: Any = await self._redis.lrange(epochs_key(_PARTITION), 0, -1)
        ends = []
        for epoch in map(int, epochs):
            key = f"{epoch_end_prefix(_PARTITION)}{epoch}"
            found = [int(end) for end in await self._redis.hmget(key, *fields) if end]
            ends.append(EpochEnd(epoch, found[0] if found else default))
        return tuple(ends)

    async def _outbox_fact(self, name: str) -> Any:  # noqa: ANN401 - Redis's
        if not await self._redis.exists(outbox_key(_PARTITION)):
            return None
        facts: Any = await self._redis.xinfo_stream(outbox_key(_PARTITION))
        return facts[name]

    async def _last_sequence(self) -> int:
        if not await self._redis.exists(log_key(_ROOM)):
            return 0
        facts: Any = await self._redis.xinfo_stream(log_key(_ROOM))
        return _sequence(facts["last-generated-id"])

    async def _ids(self, order: tuple[SeenId, ...]) -> tuple[SeenId, ...]:
        """What is known of the ids, in the order of the restated ones as far as these go."""
        found = []
        for note_id in dict.fromkeys((*(seen.note_id for seen in order), *_IDS)):
            facts: Any = await self._redis.hgetall(sent_key(_ROOM, note_id))
            if facts:
                body = facts[b"d"].decode()
                found.append(SeenId(note_id, body, int(facts[b"e"]), int(facts[b"s"])))
        return tuple(found)


def _submission(note_id: str, body: str) -> Submission:
    note = NoteMessage(text=body).SerializeToString()
    return Submission(_ROOM, note_id, note, digest=body.encode(), made_ns=1)


def _note(epoch: int, sequence: int, note: bytes, floor: int) -> Note:
    return Note(epoch, sequence, NoteMessage.FromString(note).text, floor)


def _floor(fields: Mapping[bytes, bytes]) -> int:
    return int(fields.get(b"f", 0))


def _forgotten(value: bytes | None) -> Forgotten | None:
    if value is None:
        return None
    last, _, lived_through = value.partition(b" ")
    return Forgotten(int(last), int(lived_through or 0))


def _sequence(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])


@pytest.mark.parametrize("seed", range(4))
async def test_scripts_and_restatement_hold_the_same_after_every_step(
    valkey: ValkeyProcess, seed: int
) -> None:
    async with connect(valkey.url, EpochGuard(), _TIMEOUT_SECONDS) as redis:
        # So that XTRIM's "about" becomes "exactly".
        await redis.config_set("stream-node-max-entries", 1)
        connector = RedisConnector(valkey.url, EpochGuard(), _TIMEOUT_SECONDS)
        pipeline = RedisPipeline(connector, Deadlines(asyncio.get_running_loop()))
        acceptor = Acceptor(pipeline, _WINDOW_SECONDS)
        accepting = asyncio.create_task(pipeline.run())
        both = Both(redis, acceptor, random.Random(seed))  # noqa: S311 - no secret
        try:
            for _ in range(_STEPS):
                await both.step()
        finally:
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
    rare = {"new", "duplicate", "taken", "persisted", "refused", "begin_run", "retire", "vanish"}
    rare |= {"forgotten", "go_back", "older", "no older", "parted", "not parted"}
    assert rare <= both.seen.keys(), both.seen
