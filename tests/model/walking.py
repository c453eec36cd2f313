"""What the tests of the models share."""

import pytest

from tests.model.explore import Outcome
from tests.model.variants import Variant


def that_hold(variants: tuple[Variant, ...]) -> pytest.MarkDecorator:
    """The walks that are to find nothing."""
    return _parametrized([variant for variant in variants if variant.expected is None])


def that_break(variants: tuple[Variant, ...]) -> pytest.MarkDecorator:
    """The walks that are to find a broken promise."""
    return _parametrized([variant for variant in variants if variant.expected is not None])


def walk(variant: Variant) -> Outcome:
    """Walks to the end, and says in the test's output what was found."""
    outcome = variant.walk(None)
    print(f"{variant}: {outcome}")
    assert outcome.states > 1, str(outcome)
    return outcome


def _parametrized(variants: list[Variant]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("variant", variants, ids=str)
