"""Everything that may happen between the reads of history's own `Replayer` and `Pager`."""

from tests.model.variants import REPLAY, Variant
from tests.model.walking import that_break, that_hold, walk


@that_hold(REPLAY)
def test_what_is_acknowledged_is_replayed_whatever_happens_meanwhile(variant: Variant) -> None:
    outcome = walk(variant)
    assert outcome.violation is None, str(outcome)
    assert outcome.settled, str(outcome)


@that_break(REPLAY)
def test_replaying_breaks_its_promise_without(variant: Variant) -> None:
    outcome = walk(variant)
    assert outcome.violation, str(outcome)
    assert outcome.violation.kind is variant.expected, str(outcome)
