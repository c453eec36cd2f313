"""Takes an inventory of the data of a layout, to compare it with another one."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from redis.asyncio import Redis

from notecast_runtime.keyspace import PARTITIONS

_EXPIRING = (b"sent:", b"lease")
"""Keys of a partition that expire: they may be gone at the next look."""

_DIGEST = 2**128

Name = tuple[int, bytes]
"""A key: its partition, and what follows the partition's prefix."""


class Facts:
    """Facts about data: counts, and a sum of the digests of all lasting keys.

    Attributes:
        counts: the numbers of keys by kind, notes in rooms' streams, and rooms with a head.
        digest: the sum, modulo 2^128.
    """

    def __init__(self, counts: Mapping[str, int] | None = None, digest: int = 0) -> None:
        self.counts: Counter[str] = Counter(counts or {})
        self.digest = digest

    @property
    def keys(self) -> int:
        """The number of keys that were read."""
        return self.counts["keys"]

    def count(self, what: str, number: int = 1) -> None:
        """Adds to a count."""
        self.counts[what] += number

    def note(self, name: Name, *values: object) -> None:
        """Adds the content of a key; the sum does not depend on the order of keys."""
        text = repr((name, values)).encode()
        self.digest = (self.digest + int.from_bytes(sha256(text).digest()[:16])) % _DIGEST

    def add(self, other: "Facts") -> None:
        """Adds the facts about another part of the data."""
        self.counts += other.counts
        self.digest = (self.digest + other.digest) % _DIGEST

    def differences(self, later: "Facts") -> list[str]:
        """Describes what has changed; expiring keys may have become fewer."""
        faults = [
            f"{what}: {self.counts[what]} became {later.counts[what]}"
            for what in sorted(self.counts | later.counts)
            if not _is_as_it_should(what, self.counts[what], later.counts[what])
        ]
        if not faults and self.digest != later.digest:
            faults.append("epochs, heads, or the ends of streams are others")
        return faults

    def as_json(self) -> dict[str, Any]:
        """Converts the facts for `from_json`."""
        return {"counts": dict(self.counts), "digest": str(self.digest)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Facts":
        """Restores facts from `as_json`."""
        return cls(value["counts"], int(value["digest"]))


def _is_as_it_should(what: str, before: int, after: int) -> bool:
    if what in {"keys", "expiring"}:
        return after <= before
    return after == before


class Inventory:
    """Reads every key of one layout.

    Args:
        redis: a client with answers as bytes.
        prefix_of: returns the prefix of a partition's keys.
        page: the approximate number of keys in one round trip.
    """

    def __init__(self, redis: Redis, prefix_of: Callable[[int], str], page: int) -> None:
        self._redis = redis
        self._page = page
        self._prefix_of = prefix_of
        self._partitions = {
            prefix_of(partition).encode(): partition for partition in range(PARTITIONS)
        }

    async def names(self) -> AsyncIterator[Sequence[Name]]:
        """Yields the keys in pages; a key may come twice."""
        cursor = 0
        while True:
            answer: Any = await self._redis.scan(cursor, match="nc:{*}:*", count=self._page)
            cursor, keys = answer
            names = [name for key in keys if (name := self._name(key)) is not None]
            if names:
                yield names
            if cursor == 0:
                return

    async def parts(self) -> AsyncIterator[Facts]:
        """Yields the facts about the keys, page by page; each key counts once."""
        seen: set[Name] = set()
        async for names in self.names():
            fresh = [name for name in dict.fromkeys(names) if name not in seen]
            seen.update(fresh)
            yield await self._facts(fresh)

    def _name(self, key: bytes) -> Name | None:
        prefix, separator, rest = key.partition(b"}:")
        partition = self._partitions.get(prefix + separator)
        return None if partition is None else (partition, rest)

    async def _facts(self, names: Sequence[Name]) -> Facts:
        facts = Facts()
        lasting = [name for name in names if not name[1].startswith(_EXPIRING)]
        expiring = [name for name in names if name[1].startswith(_EXPIRING)]
        kinds = await self._ask(lasting, lambda pipeline, key: pipeline.type(key))
        contents = await self._ask_by_kind(lasting, kinds)
        for name, kind, content in zip(lasting, kinds, contents, strict=True):
            _take(facts, name, kind.decode(), content)
        for left in await self._ask(expiring, lambda pipeline, key: pipeline.pttl(key)):
            if left == _GONE:
                continue
            facts.count("keys")
            facts.count("expiring")
            facts.count("expiring that never expire", int(left == _NO_END))
        return facts

    async def _ask_by_kind(self, names: Sequence[Name], kinds: Sequence[bytes]) -> list[Any]:
        question = dict(zip(names, kinds, strict=True))
        by_key = {self._key(name): _CONTENTS.get(kind) for name, kind in question.items()}

        def ask(pipeline: Any, key: bytes) -> None:  # noqa: ANN401 - redis-py's
            (by_key[key] or _whole)(pipeline, key)

        return await self._ask(names, ask)

    async def _ask(self, names: Sequence[Name], ask: Callable[[Any, bytes], Any]) -> list[Any]:
        if not names:
            return []
        async with self._redis.pipeline(transaction=False) as pipeline:
            for name in names:
                ask(pipeline, self._key(name))
            answers: list[Any] = await pipeline.execute()
            return answers

    def _key(self, name: Name) -> bytes:
        return self._prefix_of(name[0]).encode() + name[1]


_GONE, _NO_END = -2, -1
"""The answers of PTTL for a missing key, and for one that does not expire."""


def _whole(pipeline: Any, key: bytes) -> None:  # noqa: ANN401 - redis-py's
    pipeline.dump(key)


_CONTENTS: Mapping[bytes, Callable[[Any, bytes], Any]] = {
    b"string": lambda pipeline, key: pipeline.get(key),
    b"list": lambda pipeline, key: pipeline.lrange(key, 0, -1),
    b"hash": lambda pipeline, key: pipeline.hgetall(key),
    b"stream": lambda pipeline, key: pipeline.xinfo_stream(key),
}


def _take(facts: Facts, name: Name, kind: str, content: Any) -> None:  # noqa: ANN401 - redis-py's
    _, rest = name
    facts.count("keys")
    facts.count(f"keys of kind {kind}")
    if kind == "hash":
        content = sorted(content.items())
    elif kind == "stream":
        content = content["length"], content["last-generated-id"], content["first-entry"]
        facts.count("notes" if rest.startswith(b"log:") else "entries of other streams", content[0])
    if rest == b"head":
        facts.count("rooms", len(content))
    facts.note(name, kind, content)
