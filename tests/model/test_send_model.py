"""Every interleaving of sends and retries through two gateways, with lost and late ones."""

from tests.model.variants import SEND, Variant
from tests.model.walking import that_break, that_hold, walk


@that_hold(SEND)
def test_a_note_that_is_sent_again_is_one_note(variant: Variant) -> None:
    outcome = walk(variant)
    assert outcome.violation is None, str(outcome)
    assert outcome.settled, str(outcome)


@that_break(SEND)
def test_sending_again_breaks_its_promise_without(variant: Variant) -> None:
    outcome = walk(variant)
    assert outcome.violation, str(outcome)
    assert outcome.violation.kind is variant.expected, str(outcome)
