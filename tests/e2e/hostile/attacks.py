"""What one client does to hurt the others, each attack in steps without an end."""

import os
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from grpc_health.v1.health_pb2 import HealthCheckRequest

from notecast.v1.chat_pb2 import (
    ListNotesRequest,
    RoomSubscription,
    SendNoteRequest,
    SubscribeRequest,
)
from tests.e2e.hostile.door import Client, Door, Steps
from tests.support import raw_http2 as raw
from tests.wire.hostility.attacker import ATTACKS as ATTACKS_OF_HTTP2

BIG_ROOM: Final = "big"
"""The room that is filled with large notes before."""
BIG_NOTES: Final = 200

_NO_WINDOW: Final = (raw.INITIAL_WINDOW_SIZE, 0)
_LONG_PAGE: Final = ListNotesRequest(room=BIG_ROOM, page_size=500)
_LETTERS: Final = bytes(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789~$"[n % 64] for n in range(256)
)
_HALF_MESSAGE_BYTES: Final = 4_000_000
_ATTACK_OF_HTTP2_SECONDS: Final = 0.3


def _random(length: int) -> bytes:
    """What no table of headers holds yet."""
    return os.urandom(length).translate(_LETTERS)


def _headers_that_envoy_takes(door: Door) -> Steps:
    """Headers within Envoy's bound, and beyond a gateway's."""
    client = None
    fields = [(b"x-%d" % number, _random(190)) for number in range(75)]
    while True:
        if client := door.again(client):
            for _ in range(4):
                client.begin("SendNote", *fields, (b"y", _random(200)), end=True)
        yield 0.03


def _large_headers(door: Door) -> Steps:
    """Calls with as much metadata as a gateway takes, all of which it has to decode."""
    client = None
    values = [_random(15_000) for _ in range(50)]
    while True:
        if client := door.again(client):
            for value in values[:5]:
                client.call("SendNote", SendNoteRequest(room="r", author="a"), (b"x", value))
            values = [*values[5:], *values[:5]]
        yield 0.01


def _rapid_resets(door: Door) -> Steps:
    """CVE-2023-44487, as fast as a connection lives."""
    client = None
    request = SendNoteRequest(room="resets", author="a", text="t")
    while True:
        if client := door.again(client):
            for _ in range(20):
                client.reset(client.call("SendNote", request))
        yield 0.02


def _half_messages(door: Door) -> Steps:
    """Most of a large message, on as many calls as the windows of some connections let through."""
    sent: dict[tuple[Client, int], int] = {}
    while True:
        door.pump()
        if len(door.clients) < 6 and (client := door.connect()):
            for _ in range(5):
                stream_id = client.begin("SendNote")
                client.send(raw.data(stream_id, b"\0" + (_HALF_MESSAGE_BYTES + 50).to_bytes(4)))
                client.windows[stream_id] -= 5
                client.windows[0] -= 5
                sent[client, stream_id] = 5
        sent = {key: octets for key, octets in sent.items() if not key[0].closed}
        for (client, stream_id), octets in list(sent.items()):
            size = min(client.windows[0], client.windows[stream_id], 16_384)
            if size > 0 and octets < _HALF_MESSAGE_BYTES:
                client.send(raw.data(stream_id, bytes(size)))
                client.windows[0] -= size
                client.windows[stream_id] -= size
                sent[client, stream_id] = octets + size
        yield 0.005


def _half_open_calls(door: Door) -> Steps:
    """Calls whose request never comes; a few octets of ours unpack to large headers."""
    fields = [raw.indexed_literal(b"y-%d" % number, _random(1_200)) for number in range(3)]
    request = raw.request("/notecast.v1.ChatService/SendNote")
    first = request + b"".join(fields)
    # One octet each for a field that is in Envoy's table.
    later = request + bytes(0x80 | (62 + number % 3) for number in range(10))
    while True:
        if client := door.connect():
            client.send(raw.headers(client.next_id(), first))
            client.send(b"".join(raw.headers(client.next_id(), later) for _ in range(249)))
        yield 0.25


def _answers_that_nobody_reads(door: Door) -> Steps:
    """Large unary answers, held by a window of 0."""
    client = None
    while True:
        if client := door.again(client, _NO_WINDOW):
            client.call("ListNotes", _LONG_PAGE, (b"grpc-timeout", b"2S"))
        if len(door.clients) < 6 and door.is_open and client and client.next_id() > 150:
            client = None
        yield 0.02


def _pages_that_nobody_reads(door: Door) -> Steps:
    """Streams with different pages of history, held by windows of 0."""
    client = None
    begun = 0
    while True:
        if client := door.again(client, _NO_WINDOW):
            wanted = RoomSubscription(room=BIG_ROOM, last=BIG_NOTES - begun % 60)
            client.call("Subscribe", SubscribeRequest(subscriptions=[wanted]))
            begun += 1
        yield 0.02


def _rooms(door: Door) -> Steps:
    """Streams with as many rooms each as they may have, none of which anybody writes to."""
    client = None
    begun = 0
    while True:
        if client := door.again(client):
            rooms = [RoomSubscription(room=f"taken {begun}.{number}") for number in range(64)]
            client.call("Subscribe", SubscribeRequest(subscriptions=rooms))
            begun += 1
        yield 0.03


def _joins_and_resets(door: Door) -> Steps:
    """Streams that leave as soon as history is being read for them."""
    client = None
    open_streams: list[int] = []
    begun = 0
    while True:
        before, client = client, door.again(client)
        if client is not before:
            open_streams = []
        if client is not None:
            wanted = RoomSubscription(room=BIG_ROOM, last=20 + begun * 7 % (BIG_NOTES - 20))
            open_streams.append(client.call("Subscribe", SubscribeRequest(subscriptions=[wanted])))
            begun += 1
            if len(open_streams) > 12:
                client.reset(open_streams.pop(0))
        yield 0.007


def _watches_that_nobody_reads(door: Door) -> Steps:
    """Streams of the standard services: watches of health, and reflection that asks nothing."""
    client = None
    while True:
        if client := door.again(client, _NO_WINDOW):
            client.call("/grpc.health.v1.Health/Watch", HealthCheckRequest(service="readiness"))
            client.begin("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        yield 0.01


def _connections(door: Door) -> Steps:
    """Connections on which nothing is ever said."""
    while True:
        for _ in range(10):
            door.connect(greets=len(door.clients) % 2 == 0)
        yield 0.05


def _faults_of_http2(door: Door) -> Steps:
    """What no client should send in HTTP/2, one after the other: floods, bombs, and waits."""
    while True:
        for attack in ATTACKS_OF_HTTP2.values():
            client = door.connect(greets=attack.greets, reads=attack.reads)
            deadline = time.monotonic() + _ATTACK_OF_HTTP2_SECONDS
            for piece in attack.pieces():
                if client is None or client.closed or time.monotonic() > deadline:
                    break
                client.send(piece)
                client.pump()
                yield 0.001
            if client in door.clients:
                client.close()
                door.clients.remove(client)
            yield 0.001


ATTACKS: Final[Mapping[str, Callable[[Door], Steps]]] = MappingProxyType(
    {
        "headers_that_envoy_takes": _headers_that_envoy_takes,
        "large_headers": _large_headers,
        "rapid_resets": _rapid_resets,
        "half_messages": _half_messages,
        "half_open_calls": _half_open_calls,
        "answers_that_nobody_reads": _answers_that_nobody_reads,
        "pages_that_nobody_reads": _pages_that_nobody_reads,
        "rooms": _rooms,
        "joins_and_resets": _joins_and_resets,
        "watches_that_nobody_reads": _watches_that_nobody_reads,
        "connections": _connections,
        "faults_of_http2": _faults_of_http2,
    }
)
