"""No bytes make a server's connection raise, log an error, or leave a call or a task behind."""

from hypothesis import given, settings

from tests.wire.fuzz.protocol_target import feed
from tests.wire.fuzz.strategies import conversations, in_pieces, mutated_sessions

_thorough = settings(max_examples=200, deadline=None)


@_thorough
@given(in_pieces(conversations()))
def test_any_frames_leave_nothing_behind(pieces: list[bytes]) -> None:
    feed(pieces)


@_thorough
@given(in_pieces(mutated_sessions()))
def test_sessions_with_faults_leave_nothing_behind(pieces: list[bytes]) -> None:
    feed(pieces)
