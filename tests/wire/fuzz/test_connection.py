"""No bytes make a connection raise, forget to end a stream, or keep or send without bounds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import raw_http2 as raw
from tests.wire.fuzz.connection_target import feed
from tests.wire.fuzz.strategies import conversations, in_pieces, mutated_sessions

_thorough = settings(max_examples=300, deadline=None)


def _behind_preface(octets: bytes) -> bytes:
    return raw.PREFACE + raw.settings() + octets


@_thorough
@given(in_pieces(st.one_of(st.binary(max_size=500), st.binary(max_size=500).map(_behind_preface))))
def test_any_bytes_end_in_order(pieces: list[bytes]) -> None:
    feed(pieces)


@_thorough
@given(in_pieces(conversations()))
def test_any_frames_end_in_order(pieces: list[bytes]) -> None:
    feed(pieces)


@_thorough
@given(in_pieces(mutated_sessions()))
def test_sessions_with_faults_end_in_order(pieces: list[bytes]) -> None:
    feed(pieces)
