"""Ids that the server makes: of one shape, and never the same twice."""

import re

from chat_gateway.api.note_ids import NoteIds

COUNT = 1_000
"""Several times what is drawn at once."""


def test_ids_are_32_hexadecimal_digits_and_never_repeat() -> None:
    one, other = NoteIds(), NoteIds()
    made = [ids.make() for _ in range(COUNT) for ids in (one, other)]
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in made)
    assert len(set(made)) == 2 * COUNT
