"""Every interleaving of accepting, persisting, trimming and retention, on a Redis that forgets."""

from tests.model.variants import PERSIST, Variant
from tests.model.walking import that_break, that_hold, walk


@that_hold(PERSIST)
def test_what_is_accepted_and_not_forgotten_ends_in_the_rooms_stream(variant: Variant) -> None:
    outcome = walk(variant)
    assert outcome.violation is None, str(outcome)
    assert outcome.settled, str(outcome)


@that_break(PERSIST)
def test_persisting_breaks_its_promise_without(variant: Variant) -> None:
    outcome = walk(variant)
    assert outcome.violation, str(outcome)
    assert outcome.violation.kind is variant.expected, str(outcome)
