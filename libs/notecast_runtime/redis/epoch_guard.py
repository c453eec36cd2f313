"""Checks every new connection first: is this still the same Redis?

It also checks that Redis holds what was seen of it (`fencing`), and that its data have a known
layout (`layout`).

A Redis that was restarted, or promoted, may lack its newest writes, and is only reached through new
connections. redis-py makes those inside commands, so the check is the connection's own connect
hook: nothing is accepted or persisted before it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import resources
from time import monotonic
from typing import Any, NamedTuple

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from notecast_runtime.keyspace import (
    LAYOUT_KEY,
    LAYOUT_VERSION,
    PARTITIONS,
    began_key,
    epoch_end_prefix,
    epoch_key,
    epochs_key,
    heads_key,
    outbox_key,
    run_key,
)
from notecast_runtime.outbox import OutboxId
from notecast_runtime.redis.fencing import NOTHING, Begin, Fence, Seen
from notecast_runtime.redis.layout import Ask, LayoutCheck
from notecast_runtime.redis.primary import PrimaryWatch
from notecast_runtime.redis.runs import RunHistory, run_id_of

_SCRIPT = resources.files(__package__).joinpath("guard.lua").read_text()

_EPOCHS_REMEMBERED = 16
"""For each partition. A cursor older than so many restarts is of an unknown epoch."""

_CORRUPT = "CORRUPT"
"""Prefix of the script's refusal if a key of the partition has invalid content."""

_log = structlog.get_logger(__name__)


class EpochGuard:
    """Begins a new epoch in every partition if another run of Redis answers, or has older data.

    The run that was handled last is remembered with the data. A process's memory would be wrong if
    a server is demoted and promoted again under the same run id, with data that another one has
    written in the meantime. Conversely, the data can't tell if the same run comes back with older
    data: only a process that has seen the newer ones knows (`fencing`).

    Args:
        known_layout: the version of the layout that the data must have.

    Attributes:
        layout: remembers that data of another layout were met; the process then ends.
        fence: what this process has seen of the data.
        recall: called before the fence is used, so that parts that have seen more tell it now.
        primary: whether connections lead to the primary.
    """

    def __init__(self, known_layout: int = LAYOUT_VERSION) -> None:
        self.layout = LayoutCheck(known_layout)
        self.fence = Fence()
        self.recall: Callable[[], None] = lambda: None
        self._runs = RunHistory()
        self.primary = PrimaryWatch()

    async def on_connect(self, connection: Any) -> None:  # noqa: ANN401 - redis-py's, untyped
        """Implements redis-py's `redis_connect_func`; an exception fails the connection."""
        await connection.on_connect()
        await self.check(partial(_ask, connection))

    async def check(self, ask: Ask) -> None:
        """Begins a new epoch in each partition that another run has written last.

        Also where the data are older than what this process has seen. Writes nothing to data of
        another layout.

        Logs a corrupt partition and leaves it as it is: the others go on, and it is checked again
        on each new connection.

        Args:
            ask: sends commands to Redis.

        Raises:
            LayoutError: the data have another layout.
            RefusedError: the server is a replica, or otherwise the wrong one.
            RedisConnectionError: Redis can't be checked now, or its address leads to several
                servers in turn. Send nothing else on this connection.
        """
        await self.primary.check(ask)
        self.recall()
        expected = self.fence.expected()
        server, facts, layout, *found = await ask(
            [
                ("INFO", "server"),
                ("MGET", *_FACTS),
                ("GET", LAYOUT_KEY),
                *(
                    ("XRANGE", outbox_key(each.partition), str(each.entry), "+", "COUNT", 1)
                    for each in expected
                ),
            ]
        )
        for answer in (server, facts):
            if isinstance(answer, Exception):
                raise RedisConnectionError(f"the epoch can't be checked: {answer}")
        stored = [_Stored(*facts[n::PARTITIONS]) for n in range(PARTITIONS)]
        await self.layout.check(ask, layout, in_use=any(each.run for each in stored))
        run_id = run_id_of(server)
        self._check_run(run_id)
        other_run = {p for p, each in enumerate(stored) if each.run != run_id.encode()}
        missing: dict[int, list[OutboxId]] = {}
        for each, answer in zip(expected, found, strict=True):
            if holds(answer, each.entry):
                self.fence.found(each)
            elif self.fence.still_expects(each):
                missing.setdefault(each.partition, []).append(each.entry)
        earlier = {p for p, each in enumerate(stored) if each.epoch < self.fence.seen(p).epoch}
        # A process that had not seen the newest epoch may have begun a later one without it.
        later = {p for p, each in enumerate(stored) if 0 < self.fence.seen(p).epoch < each.epoch}
        asked = other_run | missing.keys() | earlier - _absent(stored) | later
        await self._begin(
            ask, run_id, stored, {p: sorted(missing.get(p, ())) for p in sorted(asked)}
        )
        if other_run:
            _log.info("redis_run_seen", run_id=run_id, partitions=len(other_run))

    async def leads_elsewhere(self, ask: Ask) -> bool:
        """Whether a connection leads to another run than the last one that `check` has met.

        A run is met if it is a primary whose data have the known layout, even if the rest of the
        check fails: from then on all earlier connections are to end, and each new one is checked
        by itself. A replica, or a server that loads its data, is not met.

        This is cheap, and changes nothing: if true, or unknown, call `check`. Send nothing else on
        this connection.

        Args:
            ask: sends commands to Redis.
        """
        [server] = await ask([("INFO", "server")])
        return isinstance(server, Exception) or run_id_of(server) != self._runs.newest

    def _check_run(self, run_id: str) -> None:
        if self._runs.see(run_id, monotonic()):
            # Earlier connections may live on, and lead to a server whose writes are lost.
            self.primary.replaced()
        if self._runs.alternate:
            _log.error("redis_runs_alternate", runs=self._runs.known)
            raise RedisConnectionError(
                "the address leads to several servers that take turns: "
                f"runs {', '.join(self._runs.known)}; it must lead to one primary"
            )

    async def _begin(
        self,
        ask: Ask,
        run_id: str,
        stored: Sequence["_Stored"],
        asked: Mapping[int, Sequence[OutboxId]],
    ) -> None:
        """Runs the script where it may have something to do, and learns the epochs.

        Args:
            ask: sends commands to Redis.
            run_id: the run that answers.
            stored: the stored facts of all partitions.
            asked: the partitions to run it for, each with the entries that were seen and not
                found, oldest first.
        """
        for partition in set(range(PARTITIONS)).difference(asked):
            stored[partition].tell(self.fence, partition)
        if not asked:
            return
        seen = [self.fence.seen(partition) for partition in asked]
        answers = await ask(
            [
                _call(partition, run_id, each, missing, stored[partition])
                for (partition, missing), each in zip(asked.items(), seen, strict=True)
            ]
        )
        older = []
        for (partition, missing), each, answer in zip(asked.items(), seen, answers, strict=True):
            epoch = self._learn(partition, missing, answer)
            if each.epoch and epoch > max(each.epoch, stored[partition].epoch):
                older.append(partition)
        if older and stored[older[0]].run == run_id.encode():
            _log.warning("older_data_seen", run_id=run_id, partitions=len(older))

    def _learn(self, partition: int, missing: Iterable[OutboxId], answer: Any) -> int:  # noqa: ANN401 - Redis's
        """Processes the script's answer; returns the partition's epoch, 0 if there is none."""
        if isinstance(answer, Exception) and not str(answer).startswith(_CORRUPT):
            raise RedisConnectionError(f"the epoch can't be checked: {answer}")
        for entry in missing:
            self.fence.settle(partition, entry)  # it was trimmed, or is handled now
        if isinstance(answer, Exception):
            _log.error("partition_corrupt", partition=partition, error=str(answer))
            return 0
        now = _Stored(None, *answer)
        now.tell(self.fence, partition)
        return now.epoch


class _Stored(NamedTuple):
    """The stored facts of a partition."""

    run: bytes | None
    raw_epoch: bytes | None
    began: bytes | None

    @property
    def epoch(self) -> int:
        """The epoch; 0 if there is none, or it is no number."""
        raw = self.raw_epoch
        return int(raw) if raw is not None and raw.isdigit() else 0

    def tell(self, fence: Fence, partition: int) -> None:
        """Tells the fence what was read here."""
        if not self.epoch:
            return
        fence.see(partition, self.epoch)
        with suppress(
            TypeError, ValueError
        ):  # data from before this key existed, or of other programs
            fence.see_begin(partition, Begin.parse(self.epoch, self.began or b""))


_FACTS = [key(p) for key in (run_key, epoch_key, began_key) for p in range(PARTITIONS)]
"""The keys of `_Stored`, for all partitions."""


def _absent(stored: Sequence[_Stored]) -> set[int]:
    """The partitions without an epoch. A new one is handled once it is met."""
    return {partition for partition, each in enumerate(stored) if not each.epoch}


def holds(answer: Any, entry: OutboxId) -> bool:  # noqa: ANN401 - Redis's
    """Whether an entry is the first one in the answer to an XRANGE that began at it."""
    if isinstance(answer, Exception) or not answer:
        return False
    return bytes(answer[0][0]) == str(entry).encode()


def _call(
    partition: int, run_id: str, seen: Seen, missing: Sequence[OutboxId], stored: _Stored
) -> Sequence[str | int]:
    own_keys = (epoch_key, run_key, heads_key, epochs_key, outbox_key, began_key)
    keys = [key(partition) for key in own_keys]
    arguments = (
        run_id,
        epoch_end_prefix(partition),
        _EPOCHS_REMEMBERED,
        seen.epoch,
        " ".join(map(str, missing or [NOTHING])),
        str(seen.fork(stored.epoch)),
        " ".join(f"{each.previous} {each.entry}" for each in seen.begins),
    )
    return ("EVAL", _SCRIPT, len(keys), *keys, *arguments)


async def _ask(connection: Any, commands: Sequence[Sequence[Any]]) -> Sequence[Any]:  # noqa: ANN401 - redis-py's, untyped
    """Implements `Ask` on a connection of redis-py."""
    for command in commands:
        await connection.send_command(*command)
    # Reads every answer before raising: the next command must not get one of these.
    return [await _answer(connection) for _ in commands]


async def _answer(connection: Any) -> Any:  # noqa: ANN401 - redis-py's, untyped
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as refusal:
        return refusal
