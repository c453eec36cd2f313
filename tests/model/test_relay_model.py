"""Every interleaving of a note's way from Redis to a client, with all that can go wrong on it."""

from tests.model.explore import explore
from tests.model.relay_model import HEAD_CHECK_FOUND, RelayModel
from tests.model.relay_state import Bounds, Reads, Rule
from tests.model.variants import RELAY, Variant
from tests.model.walking import that_break, that_hold, walk


@that_hold(RELAY)
def test_every_client_gets_every_note_that_redis_remembers(variant: Variant) -> None:
    outcome = walk(variant)
    assert outcome.violation is None, str(outcome)
    assert outcome.settled, str(outcome)


@that_break(RELAY)
def test_relaying_breaks_its_promise_without(variant: Variant) -> None:
    outcome = walk(variant)
    assert outcome.violation, str(outcome)
    assert outcome.violation.kind is variant.expected, str(outcome)


def test_waiting_for_the_confirmation_spares_the_delay_until_the_head_check() -> None:
    """Without it nothing is lost, only late: the head check finds notes though nothing failed."""
    waits = explore(RelayModel(frozenset(Rule), Bounds(notes=3), Reads.PLAIN))
    hurries = explore(RelayModel(frozenset(Rule) - {Rule.CONFIRMED}, Bounds(notes=3), Reads.PLAIN))
    assert waits.violation is None, str(waits)
    assert hurries.violation is None, str(hurries)
    assert waits.steps[HEAD_CHECK_FOUND] == 0
    assert hurries.steps[HEAD_CHECK_FOUND] > 0
