import pytest

from notecast_runtime.outbox import CorruptOutboxEntryError, OutboxEntry, OutboxId, decode_entry

FIELDS = {b"r": "café".encode(), b"e": b"1795358976033", b"s": b"12", b"n": b"\x0a\x01x"}


def test_an_entry_is_read_as_it_was_written() -> None:
    assert decode_entry(b"1795358976040-3", FIELDS) == OutboxEntry(
        OutboxId(1795358976040, 3), "café", 1795358976033, 12, b"\x0a\x01x"
    )


def test_the_first_note_after_a_floor_says_so() -> None:
    entry = decode_entry(b"1795358976040-3", FIELDS | {b"f": b"11"})
    assert (entry.sequence, entry.floor) == (12, 11)


def test_ids_are_ordered_by_their_numbers_and_not_their_digits() -> None:
    assert OutboxId.parse("9-10") > OutboxId.parse("9-9")
    assert OutboxId.parse("10-0") > OutboxId.parse("9-0")
    assert str(OutboxId.parse(b"10-4")) == "10-4"


@pytest.mark.parametrize(
    "change",
    [
        {b"r": b""},
        {b"r": b"\xff"},
        {b"e": b"0"},
        {b"s": b"x"},
        {b"s": b"-1"},
        {b"s": b"%d" % (2**53 + 1)},
        {b"e": b"9" * 5000},
        {b"f": b"x"},
        {b"n": None},
        {b"n": b"no note"},
        {b"n": b"\x0a\x01\xff"},
    ],
)
def test_an_entry_that_no_script_of_ours_wrote_is_corrupt(
    change: dict[bytes, bytes | None],
) -> None:
    fields = {name: value for name, value in (FIELDS | change).items() if value is not None}
    with pytest.raises(CorruptOutboxEntryError) as corrupt:
        decode_entry(b"5-0", fields)
    assert corrupt.value.outbox_id == b"5-0"
    assert len(str(corrupt.value)) < 100, "what the entry holds is not repeated"
