"""All walks: each model with all its rules, and without each of them."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.model import persist_model, relay_state, replay_model, replay_redis, send_model
from tests.model.explore import Kind, OnProgress, Outcome, explore
from tests.model.persist_model import PersistModel
from tests.model.relay_model import RelayModel
from tests.model.relay_state import Reads
from tests.model.send_model import SendModel


class Variant(NamedTuple):
    """One walk, and what it is to find."""

    part: str
    without: str
    """The rule that is left out; empty: none."""

    bounds: str
    expected: Kind | None
    walk: Callable[[OnProgress | None], Outcome]

    def __str__(self) -> str:
        return f"{self.part}, {self.without or 'all rules'}, {self.bounds}"


def _persist_variant(
    expected: Kind | None, bounds: persist_model.Bounds, *without: persist_model.Rule
) -> Variant:
    model = PersistModel(frozenset(persist_model.Rule) - set(without), bounds)
    return _variant("persist", _names(without), bounds, expected, lambda on: explore(model, on))


def _relay_variant(
    expected: Kind | None, bounds: relay_state.Bounds, reads: Reads, *without: relay_state.Rule
) -> Variant:
    model = RelayModel(frozenset(relay_state.Rule) - set(without), bounds, reads)
    return _variant(
        f"relay to {reads.name.lower()}",
        _names(without),
        bounds,
        expected,
        lambda on: explore(model, on),
    )


def _send_variant(expected: Kind | None, *without: send_model.Rule) -> Variant:
    model = SendModel(frozenset(send_model.Rule) - set(without))
    return Variant("send", _names(without), "", expected, lambda on: explore(model, on))


def _replay_variants(
    expected: Kind | None, reads: tuple[replay_model.Read, ...], *without: replay_redis.Rule
) -> Iterator[Variant]:
    rules = frozenset(replay_redis.Rule) - set(without)
    for read in reads:
        yield Variant(
            "replay",
            _names(without),
            str(read),
            expected,
            lambda _, read=read: replay_model.explore_reads(rules, read),  # type: ignore[misc]
        )


def _variant(
    part: str,
    without: str,
    bounds: NamedTuple,
    expected: Kind | None,
    walk: Callable[[OnProgress | None], Outcome],
) -> Variant:
    pairs = zip(bounds._fields, bounds, strict=True)
    happens = ", ".join(f"{count} {name}" for name, count in pairs if count)
    return Variant(part, without, happens, expected, walk)


def _names(
    rules: tuple[persist_model.Rule | relay_state.Rule | send_model.Rule | replay_redis.Rule, ...],
) -> str:
    return " and ".join(f"not: {rule}" for rule in rules)


def _persist() -> Iterator[Variant]:
    bounds, rule = persist_model.Bounds, persist_model.Rule
    yield _persist_variant(None, bounds(notes=2, restarts=2, emptyings=0, sweeps=0))
    yield _persist_variant(None, bounds(notes=3, restarts=1, emptyings=0, sweeps=1))
    yield _persist_variant(None, bounds(notes=2, restarts=1, emptyings=1, sweeps=1))
    returned = bounds(notes=3, restarts=0, emptyings=0, sweeps=0, returns=1)
    yield _persist_variant(None, returned)
    yield _persist_variant(None, bounds(notes=2, restarts=1, emptyings=0, sweeps=0, returns=1))
    yield _persist_variant(Kind.STRANGER, returned, rule.NEWER_DATA)
    ample = bounds(notes=2, restarts=2, emptyings=1, sweeps=1)
    yield _persist_variant(Kind.STRANGER, ample, rule.GUARD, rule.NEWER_DATA)
    yield _persist_variant(Kind.STRANGER, ample, rule.REFUSAL, rule.NEWER_DATA)
    yield _persist_variant(Kind.LOST, ample, rule.EPOCH_FIRST, rule.NEWER_DATA)
    yield _persist_variant(Kind.STRANGER, ample, rule.CLOCK, rule.NEWER_DATA)
    yield _persist_variant(Kind.LOST, ample, rule.TRIM_BEHIND)
    yield _persist_variant(Kind.LOST, ample, rule.TRIM_IN_SCRIPT)
    yield _persist_variant(Kind.LOST, ample, rule.REFRESH)
    yield _persist_variant(Kind.RETURNED, ample, rule.NEWER_ONLY)
    yield _persist_variant(Kind.RETURNED, ample, rule.FLOOR)


def _send() -> Iterator[Variant]:
    rule = send_model.Rule
    yield _send_variant(None)
    for each in (rule.WINDOW, rule.SHARED, rule.ONE_STEP, rule.OUTLASTS):
        yield _send_variant(Kind.REPEATED, each)
    yield _send_variant(Kind.WRONG_ANSWER, rule.CONTENT)


def _replay() -> Iterator[Variant]:
    rule, reads = replay_redis.Rule, replay_model.READS
    forwards = tuple(read for read in reads if not read.backwards)
    yield from _replay_variants(None, reads)
    several = tuple(read for read in reads if read.notes > 1)
    forgotten = tuple(read for read in reads if read.notes == 1)
    yield from _replay_variants(Kind.LOST, several, rule.STREAM_LAST)
    yield from _replay_variants(Kind.LOST, several, rule.TRIM_BEHIND)
    yield from _replay_variants(Kind.UNTOLD, forwards[:1], rule.REMAINS_SAID)
    yield from _replay_variants(Kind.UNTOLD, forgotten[:1], rule.LAST_REMEMBERED)


def _relay() -> Iterator[Variant]:
    bounds, rule = relay_state.Bounds, relay_state.Rule
    calm = bounds(notes=3)
    lossy = bounds(notes=3, losses=1)
    restarted = bounds(notes=2, restarts=1, deaths=1)
    twice = bounds(notes=1, restarts=2, deaths=1)
    undying = bounds(notes=2, restarts=1)
    yield _relay_variant(None, restarted, Reads.PLAIN)
    yield _relay_variant(None, undying, Reads.LIBRARY)
    yield _relay_variant(None, twice, Reads.PLAIN)
    yield _relay_variant(None, bounds(notes=3, losses=1, deaths=1), Reads.PLAIN)
    yield _relay_variant(None, bounds(notes=2, emptyings=1, deaths=1), Reads.LIBRARY)
    for reads in Reads:
        yield _relay_variant(Kind.UNTOLD, restarted, reads, rule.GUARD)
        yield _relay_variant(Kind.LOST, lossy, reads, rule.GAPS)
        yield _relay_variant(Kind.LOST, lossy, reads, rule.REPAIR)
        yield _relay_variant(Kind.LOST, lossy, reads, rule.HEAD_CHECK)
    plain = Reads.PLAIN
    yield _relay_variant(Kind.UNTOLD, twice, plain, rule.CLOCK, rule.FENCE)
    yield _relay_variant(Kind.REFUSED, twice, plain, rule.CLOCK)
    yield _relay_variant(Kind.UNTOLD, restarted, plain, rule.CURSOR_EPOCHS)
    yield _relay_variant(Kind.LOST, undying, plain, rule.RING_CUT)
    yield _relay_variant(Kind.UNTOLD, undying, plain, rule.READS_CUT)
    yield _relay_variant(Kind.REPEATED, undying, plain, rule.TELLING)
    yield _relay_variant(Kind.UNTOLD, undying, Reads.LIBRARY, rule.TELLING)
    yield _relay_variant(Kind.UNTOLD, twice, plain, rule.TELLING_KEPT)
    yield _relay_variant(Kind.LOST, undying, Reads.LIBRARY, rule.SAME_EPOCH)
    # A plain client: ours can't tell a note that others have put, before anybody noticed, where a
    # lost one was in the same epoch.
    returned = bounds(notes=2, returns=1)
    yield _relay_variant(None, returned, plain)
    yield _relay_variant(Kind.UNTOLD, returned, plain, rule.FENCE)
    yield _relay_variant(Kind.UNTOLD, returned, plain, rule.SUSPECTS)
    yield _relay_variant(Kind.LOST, returned, plain, rule.FORK)
    # The Redis that was left goes on forgetting rooms, and no entry of its outbox tells of that.
    forgetful = bounds(notes=1, restarts=1, failbacks=1, rises=1)
    yield _relay_variant(None, forgetful, plain)
    yield _relay_variant(Kind.UNTOLD, forgetful, plain, rule.FLOOR)
    yield _relay_variant(Kind.LOST, forgetful, plain, rule.PARTED)
    # Waiting for the confirmation spares a delay and saves no note: without it all holds as long
    # as the head check heals; with it the head check has nothing to heal where nothing fails.
    yield _relay_variant(None, calm, plain, rule.HEAD_CHECK)
    yield _relay_variant(None, calm, plain, rule.CONFIRMED)
    yield _relay_variant(Kind.LOST, calm, plain, rule.HEAD_CHECK, rule.CONFIRMED)


def _wide() -> Iterator[Variant]:
    """Minutes long: more of everything at once."""
    yield _persist_variant(None, persist_model.Bounds(notes=2, restarts=2, emptyings=1, sweeps=1))
    yield _persist_variant(None, persist_model.Bounds(notes=3, restarts=2, emptyings=0, sweeps=1))
    bounds = relay_state.Bounds
    yield _relay_variant(None, bounds(notes=2, restarts=1, failbacks=1), Reads.PLAIN)
    yield _relay_variant(None, bounds(notes=3, returns=1), Reads.PLAIN)
    yield _relay_variant(None, bounds(notes=2, returns=1, deaths=1), Reads.PLAIN)
    yield _relay_variant(None, bounds(notes=2, returns=1, restarts=1), Reads.PLAIN)
    for reads in Reads:
        yield _relay_variant(None, bounds(notes=2, restarts=1, deaths=1), reads)
        yield _relay_variant(None, bounds(notes=2, restarts=2), reads)
        yield _relay_variant(None, bounds(notes=2, restarts=1, emptyings=1), reads)
        yield _relay_variant(None, bounds(notes=2, restarts=1, losses=1), reads)
        yield _relay_variant(None, bounds(notes=2, emptyings=1, losses=1, deaths=1), reads)
        yield _relay_variant(None, bounds(notes=3, losses=2, deaths=1), reads)
        yield _relay_variant(None, bounds(notes=3, restarts=1), reads)


PERSIST = tuple(_persist())
SEND = tuple(_send())
REPLAY = tuple(_replay())
RELAY = tuple(_relay())
ALL = (*PERSIST, *SEND, *REPLAY, *RELAY)
WIDE = tuple(_wide())
