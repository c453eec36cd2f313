"""Runs a service with mechanisms switched off: `sabotage.py MECHANISM[,MECHANISM] PACKAGE`.

To show that the checker notices. The services themselves have no such switch; here their
classes are patched, in a process of their own, before their `main` runs.
"""

import asyncio
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from hashlib import sha1
from importlib import import_module
from types import ModuleType
from typing import Any

from chat_gateway.log.room_log import RoomLog, SequenceRange
from chat_gateway.rooms.head_check import HeadCheck
from chat_gateway.store.accept import Acceptor
from chat_gateway.store.live_feed_redis import RedisLiveFeed
from history.position_marks import PositionMarks
from history.scripts import LuaScript
from notecast_runtime.redis import client as redis_client
from notecast_runtime.redis import connection as redis_connection
from notecast_runtime.redis.epoch_guard import EpochGuard
from notecast_runtime.redis.fencing import Fence, Seen
from notecast_runtime.redis.primary import PrimaryWatch


def _without_gap_repair() -> None:
    """What was not heard is passed over as if it were gone for good."""
    append_live = RoomLog.append_live

    def append_on(log: RoomLog, sequence: int, frame: bytes) -> None:
        if sequence > log.newest + 1:
            log.fill(SequenceRange(log.newest, sequence - 1), ())
        append_live(log, sequence, frame)

    _patch(RoomLog, "append_live", append_on)
    _patch(RoomLog, "missing", lambda _log: None)


def _without_confirmation() -> None:
    """A room opens before Redis has said that its channel is heard."""
    subscribe = RedisLiveFeed.subscribe
    under_way: set[asyncio.Task[None]] = set()

    async def subscribe_blindly(feed: RedisLiveFeed, channel: str) -> None:
        task = asyncio.create_task(subscribe(feed, channel))
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    _patch(RedisLiveFeed, "subscribe", subscribe_blindly)


class _NoRooms:
    changes = 0

    def open_rooms(self) -> dict[str, Any]:
        return {}

    def holds(self, room: object) -> bool:  # noqa: ARG002
        return False


def _without_head_check() -> None:
    """Nobody asks Redis whether a room has grown unheard."""
    init = HeadCheck.__init__

    def init_blind(check: HeadCheck, *arguments: Any, **others: Any) -> None:  # noqa: ANN401
        init(check, *arguments, **others)
        check._hub = _NoRooms()  # type: ignore[assignment]

    _patch(HeadCheck, "__init__", init_blind)


def _without_idempotency() -> None:
    """Each attempt to send a note is a note of its own."""
    accept = Acceptor.accept

    async def accept_anew(acceptor: Acceptor, submission: Any, timeout: float) -> Any:  # noqa: ANN401, ASYNC109
        return await accept(acceptor, submission._replace(note_id=uuid.uuid4().hex), timeout)

    _patch(Acceptor, "accept", accept_anew)


_PERSISTED = "return {'persisted'"


def _without_trimming_rule() -> None:
    """The outbox is trimmed whole, whatever has been persisted of it."""
    init = LuaScript.__init__

    def init_careless(script: LuaScript, redis: Any, name: str) -> None:  # noqa: ANN401
        init(script, redis, name)
        if name == "persist.lua":
            if _PERSISTED not in script._text:
                raise SystemExit("persist.lua has changed: its outbox is not trimmed here")
            trim = "redis.call('XTRIM', KEYS[3], 'MAXLEN', 0)\n"
            script._text = script._text.replace(_PERSISTED, trim + _PERSISTED)
            script._digest = sha1(script._text.encode()).hexdigest()  # noqa: S324 - Redis's choice

    _patch(LuaScript, "__init__", init_careless)


def _without_epoch_guard() -> None:
    """A Redis that was restarted is taken for the one that was there before."""

    async def trust(_guard: EpochGuard, _ask: Any) -> None:  # noqa: ANN401
        pass

    _patch(EpochGuard, "check", trust)


def _without_fencing() -> None:
    """What was seen of the data is not remembered: only another run id tells of older ones."""
    _patch(Fence, "expected", lambda _fence: [])
    _patch(Fence, "seen", lambda _fence, _partition: Seen(0))


def _without_primary_watch() -> None:
    """A server that has become a replica is not left; it only refuses."""

    async def trust(_watch: PrimaryWatch, _ask: Any) -> None:  # noqa: ANN401
        pass

    _patch(PrimaryWatch, "check", trust)
    _patch(PrimaryWatch, "lost", lambda _watch, _generation, _error: None)
    for module in (redis_client, redis_connection):
        _patch(module, "refused", lambda _answer: None)


def _without_trim_marks() -> None:
    """The outbox is trimmed by its ids, as if these were times."""

    async def reached_by_id(
        marks: PositionMarks, partitions: Iterable[int]
    ) -> dict[int, bytes | Exception]:
        milliseconds, _ = marks._arguments
        return dict.fromkeys(partitions, b"%d-0" % (int(time.time() * 1000) - milliseconds))

    _patch(PositionMarks, "reached", reached_by_id)


MECHANISMS: dict[str, Callable[[], None]] = {
    "gap-repair": _without_gap_repair,
    "confirmation": _without_confirmation,
    "head-check": _without_head_check,
    "idempotency": _without_idempotency,
    "trimming-rule": _without_trimming_rule,
    "epoch-guard": _without_epoch_guard,
    "fencing": _without_fencing,
    "primary-watch": _without_primary_watch,
    "trim-marks": _without_trim_marks,
}
"""By name, what switches it off."""


def _patch(owner: type[Any] | ModuleType, name: str, replacement: Any) -> None:  # noqa: ANN401 - any member
    if not hasattr(owner, name):
        raise SystemExit(f"{owner.__name__} has no {name} any more: nothing is switched off")
    setattr(owner, name, replacement)


def main() -> None:
    """Switches the mechanisms off, and runs the service."""
    mechanisms, package = sys.argv[1:]
    for mechanism in mechanisms.split(","):
        MECHANISMS[mechanism]()
    sys.argv[1:] = []  # a service takes no arguments
    import_module(f"{package}.__main__").main()


if __name__ == "__main__":
    main()
