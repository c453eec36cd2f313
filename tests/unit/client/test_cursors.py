"""Places in a log, as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notecast_client.cursors import Position, format_position, parse_position


@given(epoch=st.integers(1, 2**64 - 1), sequence=st.integers(0, 2**64 - 1))
def test_a_position_reads_back_as_it_was_written(epoch: int, sequence: int) -> None:
    assert parse_position(format_position(Position(epoch, sequence))) == Position(epoch, sequence)


@pytest.mark.parametrize(
    "text",
    [
        *("", "5", ":", "1:", ":1", "a:1", "1:b", "-1:1", "1:-1", "1:2:3", "0:1", " 1:1", "1:1\n"),
        *("1_0:1", "\u0661:1", f"{2**64}:1", f"1:{2**64}", "9" * 5000 + ":1"),
    ],
)
def test_what_is_not_a_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"EPOCH:SEQUENCE|out of bounds"):
        parse_position(text)
