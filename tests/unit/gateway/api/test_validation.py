from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_gateway.api.validation import RequestLimits, check_list, check_send, check_subscribe
from notecast.v1.chat_pb2 import (
    ListNotesRequest,
    RoomSubscription,
    SendNoteRequest,
    SubscribeRequest,
)
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.errors import InvalidRequestError
from notecast_text.names import NameKind, name_fault

LIMITS = RequestLimits(text_bytes=16_384, rooms_per_stream=3)


def send(
    room: str = "lobby",
    author: str = "ann",
    text: str = "hi",
    note_id: str = "",
    labels: dict[str, str] | None = None,
) -> Callable[[], None]:
    request = SendNoteRequest(room=room, author=author, text=text, note_id=note_id, labels=labels)
    return lambda: check_send(request, LIMITS)


def subscribe(*rooms: RoomSubscription) -> Callable[[], None]:
    return lambda: check_subscribe(SubscribeRequest(subscriptions=rooms), LIMITS)


def page(**fields: object) -> Callable[[], None]:
    return lambda: check_list(ListNotesRequest(**fields))  # type: ignore[arg-type]


ROOM = RoomSubscription(room="a")


@pytest.mark.parametrize(
    ("check", "field", "bound"),
    [
        (send(room=""), "room", "at least 1 byte"),
        (send(room="é" * 65), "room", "has 130 bytes; at most 128"),
        (send(room="a\nb"), "room", "U+000A at 1, which does not show"),
        (send(author=""), "author", "at least 1 byte"),
        (send(author="a" * 129), "author", "at most 128"),
        (send(author="\x9b"), "author", "U+009B at 0"),
        (send(text=""), "text", "at least 1 byte"),
        (send(text="a" * 16_385), "text", "has 16385 bytes; at most 16384"),
        (send(text="\x1b[2J"), "text", "U+001B at 0; only tab, line feed"),
        (send(text="nul\x00"), "text", "U+0000 at 3"),
        (send(note_id="a" * 129), "note_id", "at most 128"),
        (send(note_id="\x7f"), "note_id", "U+007F"),
        (send(labels={str(i): "" for i in range(17)}), "labels", "has 17 labels; at most 16"),
        (send(labels={"": "v"}), "labels", "at least 1 byte"),
        (send(labels={"k" * 65: "v"}), "labels", "at most 64"),
        (send(labels={"k": "v" * 257}), 'labels["k"]', "at most 256"),
        (subscribe(), "subscriptions", "has 0 rooms; at least 1 and at most 3"),
        (subscribe(*[ROOM] * 4), "subscriptions", "has 4 rooms; at least 1 and at most 3"),
        (subscribe(ROOM, ROOM), "subscriptions[1].room", "named twice; once"),
        (subscribe(RoomSubscription(room="")), "subscriptions[0].room", "at least 1 byte"),
        (subscribe(RoomSubscription(room="a", last=0)), "subscriptions[0].last", "at least 1"),
        (subscribe(RoomSubscription(room="a", last=10_001)), "subscriptions[0].last", "10000"),
        (
            subscribe(ROOM, RoomSubscription(room="b", after=Cursor(sequence=1))),
            "subscriptions[1].after.epoch",
            "is 0; at least 1",
        ),
        (
            subscribe(RoomSubscription(room="a", from_start=False)),
            "subscriptions[0].from_start",
            "only true",
        ),
        (page(room=""), "room", "at least 1 byte"),
        (page(room="a", page_size=501), "page_size", "at most 500"),
        (page(room="a", before=Cursor(epoch=1)), "before.sequence", "at least 1"),
        (page(room="a", before=Cursor(sequence=1)), "before.epoch", "at least 1"),
    ],
)
def test_a_fault_is_named_with_its_field_and_its_bound(
    check: Callable[[], None], field: str, bound: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        check()
    assert field in {violation.field for violation in refused.value.violations}
    assert any(bound in violation.fault for violation in refused.value.violations)


@pytest.mark.parametrize(
    "check",
    [
        send(room="é" * 64, author="a" * 128, text="a" * 16_384, note_id="a" * 128),
        send(text="two\nlines,\ta tab,\r\nand 🙂"),
        send(labels={str(i): "v" * 256 for i in range(16)}),
        subscribe(
            ROOM,
            RoomSubscription(room="b", last=10_000),
            RoomSubscription(room="c", after=Cursor(epoch=1)),
        ),
        page(room="a"),
        page(room="a", page_size=500, before=Cursor(epoch=1, sequence=1)),
    ],
)
def test_what_is_just_within_the_bounds_is_taken(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (" lobby", "begins with the blank U+0020 (SPACE)"),
        ("lobby ", "ends with the blank U+0020 (SPACE)"),
        ("cafe\u0301", "not in Unicode's normal form C, by U+0065"),
        ("lob\u202eyb", "U+202E (RIGHT-TO-LEFT OVERRIDE) at 3"),
        ("lob\u200bby", "U+200B (ZERO WIDTH SPACE) at 3"),
    ],
)
def test_a_name_has_one_spelling_wherever_it_stands(name: str, fault: str) -> None:
    checks = [
        ("room", send(room=name)),
        ("author", send(author=name)),
        ("subscriptions[0].room", subscribe(RoomSubscription(room=name))),
        ("room", page(room=name)),
    ]
    for field, check in checks:
        with pytest.raises(InvalidRequestError) as refused:
            check()
        (violation,) = refused.value.violations
        assert violation.field == field
        assert fault in violation.fault


def test_joined_emoji_name_a_person_and_no_room() -> None:
    send(author="Ann \U0001f469\u200d\U0001f680")()
    with pytest.raises(InvalidRequestError, match="ZERO WIDTH JOINER"):
        send(room="\U0001f469\u200d\U0001f680")()


@given(st.text(max_size=140) | st.text(st.characters(max_codepoint=0xA0), max_size=140))
def test_a_name_is_taken_exactly_if_its_bytes_fit_and_it_is_well_spelt(name: str) -> None:
    fits = 1 <= len(name.encode()) <= 128
    plain = name_fault(name, NameKind.ROOM) is None
    if fits and plain:
        send(room=name)()
    else:
        with pytest.raises(InvalidRequestError) as refused:
            send(room=name)()
        assert len(refused.value.violations) == (not fits) + (not plain)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InvalidRequestError) as refused:
        send(room="", author="", text="")()
    assert [violation.field for violation in refused.value.violations] == ["room", "author", "text"]


def test_the_answer_to_a_hopeless_request_stays_small() -> None:
    wrong = [RoomSubscription(room=f"{i}\n") for i in range(200)]
    with pytest.raises(InvalidRequestError) as refused:
        check_subscribe(SubscribeRequest(subscriptions=wrong), RequestLimits(1, 1_000))
    assert len(str(refused.value)) < 2_000
