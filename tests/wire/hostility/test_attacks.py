"""No peer can take a server from the others: attacks are cut off or bounded, each by its name."""

import pytest

from tests.support import raw_http2 as raw
from tests.wire.hostility.attack import OPEN_STREAMS
from tests.wire.hostility.floods import FLOODS
from tests.wire.hostility.siege import siege
from tests.wire.hostility.victim import Victim
from tests.wire.hostility.waits import WAITS

_RESOURCE_EXHAUSTED = "grpc-status 8"

_FAULTS = {
    "window_overflow": raw.FLOW_CONTROL_ERROR,
    "window_overflow_by_settings": raw.FLOW_CONTROL_ERROR,
    "huge_frame": raw.FRAME_SIZE_ERROR,
    "another_protocol": raw.PROTOCOL_ERROR,
}
"""What ends the connection, and with which error."""

_DEADLINE_EXCEEDED = "grpc-status 4"

_PAST_WINDOWS = ("window_overflow_of_a_stream", "data_past_the_window", "empty_messages_flood")

_UNFINISHED = ("half_requests", "large_messages_that_never_come")

_TOO_MUCH = ("half_messages_on_many_streams", "unread_answers")

_UNNOTICED = ("zero_window",)
"""What every client may do; it must only cost little."""


@pytest.mark.parametrize("attack", [name for name in FLOODS if name not in _PAST_WINDOWS])
async def test_a_flood_is_cut_off(server: Victim, attack: str) -> None:
    reception = (await siege(server, attack)).reception
    assert reception.cut_off
    # A client that goes on sending may be closed on before it has read that.
    assert reception.goaway in {None, raw.ENHANCE_YOUR_CALM}


@pytest.mark.parametrize("attack", _FAULTS)
async def test_what_no_peer_may_send_ends_the_connection(server: Victim, attack: str) -> None:
    reception = (await siege(server, attack)).reception
    assert reception.cut_off
    assert reception.goaway == _FAULTS[attack]


@pytest.mark.parametrize("attack", _PAST_WINDOWS)
async def test_a_stream_that_disregards_windows_is_reset(server: Victim, attack: str) -> None:
    reception = (await siege(server, attack)).reception
    assert reception.resets == {str(raw.FLOW_CONTROL_ERROR): 1}


@pytest.mark.parametrize("attack", _UNNOTICED)
async def test_what_every_client_may_do_costs_little(server: Victim, attack: str) -> None:
    reception = (await siege(server, attack)).reception
    assert reception.completed
    assert not reception.resets
    assert not reception.statuses.keys() - {":status 200"}


async def test_a_header_bomb_is_answered_a_few_times_and_then_cut_off(server: Victim) -> None:
    reception = (await siege(server, "header_bomb")).reception
    assert reception.cut_off
    assert reception.goaway in {None, raw.ENHANCE_YOUR_CALM}
    assert 0 < reception.statuses.get(_RESOURCE_EXHAUSTED, 0) < 100


async def test_messages_that_say_they_are_huge_are_refused(server: Victim) -> None:
    reception = (await siege(server, "huge_messages")).reception
    assert reception.statuses[_RESOURCE_EXHAUSTED] == OPEN_STREAMS


@pytest.mark.parametrize("attack", _TOO_MUCH)
async def test_what_one_client_makes_us_hold_is_refused_in_the_end(
    server: Victim, attack: str
) -> None:
    reception = (await siege(server, attack)).reception
    assert reception.statuses[_RESOURCE_EXHAUSTED] > OPEN_STREAMS / 2


@pytest.mark.parametrize("attack", _UNFINISHED)
async def test_requests_that_do_not_come_end_and_their_connection_goes_on(
    server: Victim, attack: str
) -> None:
    reception = (await siege(server, attack)).reception
    assert reception.completed
    assert reception.goaway is None
    assert reception.statuses[_DEADLINE_EXCEEDED] == OPEN_STREAMS


async def test_gzip_bombs_are_refused(server: Victim) -> None:
    reception = (await siege(server, "gzip_bombs")).reception
    assert reception.statuses[_RESOURCE_EXHAUSTED] == 50


@pytest.mark.parametrize(
    "attack", sorted(WAITS.keys() - _FAULTS.keys() - {*_UNNOTICED, *_UNFINISHED, *_TOO_MUCH})
)
async def test_a_peer_that_does_not_read_or_send_is_cut_off(server: Victim, attack: str) -> None:
    reception = (await siege(server, attack)).reception
    assert reception.cut_off
    assert not reception.completed
