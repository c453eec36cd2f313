"""What the checker says where Redis had older data again, or did not get well."""

from collections.abc import Callable, Sequence

import pytest

from notecast_client.cursors import Position
from tests.chaos.checker import Event, check
from tests.chaos.findings import Breach, Findings
from tests.chaos.records import (
    Acknowledged,
    Begins,
    Broken,
    Connects,
    Done,
    Injected,
    Looked,
    Noted,
    Record,
    Sent,
    WentBack,
)
from tests.chaos.stories import reader_story, writer_story

ROOM = "room"
OLDER, GONE, NEW = 17, 18, 19
"""Epochs: before the parting and after the failback; meanwhile; from when on all know of it."""

WENT_BACK = WentBack(106.0, ROOM, GONE, Position(OLDER, 3))
"""Notes 4 and 5 were accepted meanwhile."""

FAILBACK = Injected(103.5, 106.0, "redis-failback", "all", hit=True)

AT = {
    **{Position(OLDER, sequence): 100.0 + sequence for sequence in (1, 2, 3)},
    **{Position(GONE, sequence): 100.0 + sequence for sequence in (4, 5)},
    **{Position(OLDER, sequence): 102.2 + sequence for sequence in (4, 5)},
    **{Position(NEW, sequence): 104.0 + sequence for sequence in (4, 5, 6)},
}
"""When each note was accepted."""

EARLY = (Position(OLDER, 4), Position(OLDER, 5))
"""Written to the older data before all gateways had noticed; not in most of the tests."""

LOG = [place for place in AT if place not in EARLY]
LOG_WITH_EARLY = [place for place in AT if place not in {(NEW, 4), (NEW, 5)}]


def note_id(place: Position) -> str:
    return f"note-{place.epoch}-{place.sequence}"


def noted(epoch: int, sequence: int) -> Noted:
    place = Position(epoch, sequence)
    return Noted(AT[place] + 0.1, ROOM, place, note_id(place), epoch + sequence)


def told(after: Position, resumes_at: Position) -> Broken:
    return Broken(106.4, ROOM, "REASON_EPOCH", after, resumes_at)


PARTED = told(Position(OLDER, 3), Position(GONE, 4))._replace(time=103.6)
TOLD = told(Position(GONE, 5), Position(NEW, 4))

WHOLE: list[Record] = [
    *(noted(*place) for place in LOG[:5]),
    TOLD,
    *(noted(*place) for place in LOG[5:]),
]
"""One who saw all that there ever was."""


def acknowledged(place: Position) -> list[Record]:
    sent = Sent(AT[place] - 0.1, ROOM, note_id(place), sum(place))
    return [sent, Acknowledged(AT[place], ROOM, place, note_id(place), duplicate=False)]


def findings(
    *heard: Sequence[Record],
    events: Sequence[Event] = (FAILBACK, WENT_BACK),
    log: Sequence[Position] = LOG,
) -> Findings:
    """Of a writer whose notes make the log, and readers who heard this, from its begin on."""
    sent = [record for place in log for record in acknowledged(place)]
    writer = writer_story("wendy", [*sent, Done(119.0, reached=True)])
    begin: list[Record] = [Begins(100.0, ROOM, Position(0, 0)), Connects(100.0, "gateway-1")]
    readers = [
        reader_story(f"reader-{number}", [*begin, *records, Done(120.0, reached=True)])
        for number, records in enumerate(heard)
    ]
    return check(events, [writer], readers)


def without(*places: tuple[int, int]) -> list[Record]:
    """The whole, less these notes."""
    return [r for r in WHOLE if not (isinstance(r, Noted) and tuple(r.place) in places)]


def test_what_was_accepted_between_the_parting_and_the_failback_may_be_missing() -> None:
    found = findings(WHOLE, without((GONE, 4), (GONE, 5)), without((GONE, 5)))
    assert found.breaches == {}
    assert found.forgotten == 2


@pytest.mark.parametrize("place", [(OLDER, 3), (NEW, 4), (NEW, 6)])
def test_what_was_accepted_before_the_parting_or_after_the_failback_may_not(
    place: tuple[int, int],
) -> None:
    assert findings(WHOLE, without(place)).breaches == {Breach.LOST: 1}


def test_without_a_failback_nothing_of_it_is_excused() -> None:
    found = findings(without((GONE, 4), (GONE, 5)), WHOLE, events=())
    assert found.breaches == {Breach.LOST: 2}
    assert found.forgotten == 0


def test_a_reader_that_saw_what_is_gone_must_be_told_before_anything_else() -> None:
    untold = [record for record in WHOLE if record != TOLD]
    assert findings(untold).breaches == {Breach.UNANNOUNCED: 1}


def test_that_holds_also_where_the_next_note_has_a_later_sequence() -> None:
    heard = [*WHOLE[:5], noted(NEW, 6)]  # in order of sequence, and nothing tells of the break
    assert findings(heard, WHOLE).breaches == {Breach.UNANNOUNCED: 1, Breach.LOST: 2}


def test_that_holds_also_where_nothing_comes_afterwards() -> None:
    found = findings(WHOLE[:5], log=LOG[:5])
    assert found.breaches == {Breach.UNANNOUNCED: 1}
    assert found.examples[0].place == Position(GONE, 5)


BOTH: list[Record] = [noted(*place) for place in EARLY]
REST: list[Record] = [noted(NEW, 6)]


def told_again(*heard: Record) -> list[Record]:
    """A reader at the gateway that wrote them is told of the break after that."""
    seen = [noted(*place) for place in (*LOG[:3], *EARLY)]
    return [*seen, told(Position(OLDER, 5), Position(NEW, 4)), *heard, *REST]


def test_what_was_written_to_older_data_is_shown_once_more_after_the_break() -> None:
    who_saw_what_is_gone = [*WHOLE[:5], TOLD, *BOTH, *REST]
    found = findings(told_again(*BOTH), who_saw_what_is_gone, log=LOG_WITH_EARLY)
    assert found.breaches == {}


def test_whoever_saw_what_is_gone_is_owed_it() -> None:
    without_it = [*WHOLE[:5], TOLD, *REST]
    found = findings(told_again(*BOTH), without_it, log=LOG_WITH_EARLY)
    assert found.breaches == {Breach.LOST: 2}


def repeat(reader: list[Record]) -> None:
    reader.insert(-1, BOTH[1])


def reorder(reader: list[Record]) -> None:
    reader[-3:-1] = reversed(reader[-3:-1])


def go_back_later(reader: list[Record]) -> None:
    reader.append(BOTH[1])


def forget_to_tell(reader: list[Record]) -> None:
    del reader[-4]


def tell_of_less(reader: list[Record]) -> None:
    """The break that is told does not cover note 4."""
    reader[-4] = told(Position(OLDER, 5), Position(NEW, 5))


@pytest.mark.parametrize("spoil", [repeat, reorder, go_back_later, forget_to_tell, tell_of_less])
def test_it_is_shown_again_only_there_only_once_and_in_order(
    spoil: Callable[[list[Record]], None],
) -> None:
    reader = told_again(*BOTH)
    spoil(reader)
    assert findings(reader, log=LOG_WITH_EARLY).breaches.keys() == {Breach.REPEATED}


def test_what_was_there_before_the_parting_is_never_shown_again() -> None:
    break_of_more = told(Position(GONE, 5), Position(NEW, 3))
    heard = [*WHOLE[:5], break_of_more, noted(OLDER, 3), *BOTH, *REST]
    assert findings(heard, log=LOG_WITH_EARLY).breaches == {Breach.REPEATED: 1}


def test_a_note_of_which_only_an_attempt_is_gone_is_not_stored_twice() -> None:
    """It was stored, the answer was lost, and after the failback it is sent again."""
    again = noted(NEW, 6)._replace(note_id=note_id(LOG[4]), digest=sum(LOG[4]))
    heard = [*WHOLE[:-1], again]
    assert findings(heard, log=LOG[:-1]).breaches == {}
    assert findings(heard, log=LOG[:-1], events=(FAILBACK,)).breaches == {Breach.REPEATED: 1}


def test_what_does_not_get_well_is_a_breach_of_its_own() -> None:
    looks = [
        Looked(118.0, "gateway-1 is ready", well=True),
        Looked(118.0, "gateway-2 is ready", well=False),
        Looked(118.0, "history-1 is ready", well=False),
    ]
    assert findings(WHOLE, events=(FAILBACK, WENT_BACK, *looks)).breaches == {Breach.UNHEALED: 2}
