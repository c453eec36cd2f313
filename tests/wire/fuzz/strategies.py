"""Bytes that a peer might send: noise, talk in frames, and sessions with faults put in."""

from collections.abc import Callable
from itertools import pairwise

from hypothesis import strategies as st

from tests.support import raw_http2 as raw
from tests.wire.fuzz.sessions import recorded

_SESSIONS = list(recorded().values())
_GREETING = raw.PREFACE + raw.settings()
_MOST_FRAMES = 25
_MOST_FAULTS = 4
_LARGEST = 2**32 - 1

_noise = st.binary(max_size=200)
_number = st.integers(0, _LARGEST)
_blocks = st.sampled_from(
    [
        raw.request("/test.Bytes/Echo"),
        raw.request("/test.Bytes/Count", (b"grpc-encoding", b"gzip")),
        raw.request("/test.Bytes/Hang", (b"content-length", b"7")),
        raw.request("/test.Bytes/Flood", (b"grpc-timeout", b"1m")),
        raw.request("/test.Bytes/Echo") + raw.indexed_literal(b"name", b"value") + b"\xbe\x7e\0",
        raw.literal(b"trailer", b"x"),
        b"\x20\x3f\xe1\x1f" + raw.request("/test.Bytes/Echo"),
    ]
)
_windows = st.one_of(st.integers(1, 20), st.integers(0, 2**31 - 1))
_bodies = st.one_of(
    st.builds(raw.message, _noise, compressed=st.booleans()),
    _noise,
    st.builds(bytes, _number.map(lambda n: n % 20_000)),
)
_settings = st.builds(
    raw.settings,
    st.tuples(st.integers(1, 6), st.sampled_from([0, 1, 2, 100, 4_096, 16_384, 65_535, _LARGEST])),
)

_wild = st.builds(
    raw.frame,
    st.integers(0, 11),
    st.one_of(st.sampled_from([0, 1, 4, 5, 8, 32]), st.integers(0, 255)),
    st.one_of(st.integers(0, 60), _number),
    st.one_of(st.binary(max_size=9), _noise, _blocks, _number.map(lambda n: n.to_bytes(4))),
)
"""A frame that may well be wrong."""

# What is said about a stream; the number says which of those that there are.
_about_a_stream: tuple[st.SearchStrategy[Callable[[int], bytes]], ...] = (
    st.builds(
        lambda body, end: lambda number: raw.data(number, body, end=end), _bodies, st.booleans()
    ),
    _windows.map(lambda size: lambda number: raw.window_update(number, size)),
    st.integers(0, 20).map(lambda code: lambda number: raw.rst_stream(number, code)),
    _blocks.map(lambda block: lambda number: raw.headers(number, block, end=True)),
    st.just(lambda number: raw.frame(raw.PRIORITY, 0, number, bytes(5))),
    st.builds(
        lambda kind, flags, payload: lambda number: raw.frame(kind, flags, number, payload),
        st.integers(0, 9),
        st.sampled_from([0, 1, 4, 5, 8, 12, 32, 36, 44]),
        st.one_of(st.integers(0, 6).map(bytes), st.binary(max_size=9)),
    ),
)
_about_none = st.one_of(
    _settings,
    st.just(raw.frame(raw.SETTINGS, raw.ACK, 0)),
    st.just(raw.ping()),
    _windows.map(lambda size: raw.window_update(0, size)),
)


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """A greeting, and then frames of which most are in order."""
    said = [_GREETING]
    opened = 0
    for _ in range(draw(st.integers(0, _MOST_FRAMES))):
        match draw(st.integers(0, 11)):
            case 0 | 1 | 2 | 3:
                opened += 1
                said.append(_opening(draw, 2 * opened - 1))
            case 4:
                said.append(draw(_about_none))
            case 5:
                said.append(draw(_wild))
            case _ if opened:
                number = 2 * draw(st.integers(max(1, opened - 5), opened)) - 1
                said.append(draw(st.one_of(_about_a_stream))(number))
            case _:
                pass
    return b"".join(said)


def _opening(draw: st.DrawFn, number: int) -> bytes:
    block = draw(_blocks)
    end = raw.END_STREAM if draw(st.integers(0, 3)) == 0 else 0
    cut = draw(st.integers(0, 2 * len(block)))
    if cut >= len(block):
        return raw.headers(number, block, end=bool(end))
    first = raw.frame(raw.HEADERS, end, number, block[:cut])
    return first + raw.frame(raw.CONTINUATION, raw.END_HEADERS, number, block[cut:])


@st.composite
def mutated_sessions(draw: st.DrawFn) -> bytes:
    """A session as clients send it, with a few faults in its bytes or in its frames."""
    session = draw(st.sampled_from(_SESSIONS))
    if draw(st.booleans()):
        return _with_faulty_bytes(draw, bytearray(session))
    frames = _frames_of(session[len(raw.PREFACE) :])
    for _ in range(draw(st.integers(0, _MOST_FAULTS))):
        _spoil(draw, frames)
    return raw.PREFACE + b"".join([raw.frame(*frame) for frame in frames])


def _frames_of(octets: bytes) -> list[raw.Frame]:
    frames = []
    while octets:
        end = 9 + int.from_bytes(octets[:3])
        stream_id = int.from_bytes(octets[5:9])
        frames.append(raw.Frame(octets[3], octets[4], stream_id, octets[9:end]))
        octets = octets[end:]
    return frames


def _spoil(draw: st.DrawFn, frames: list[raw.Frame]) -> None:
    """Puts one fault into a row of frames."""
    place = draw(st.integers(0, max(0, len(frames) - 1)))
    there = frames[place : place + 1]
    match draw(st.integers(0, 6)):
        case 0:
            frames[place:place] = there * draw(st.integers(1, 30))
        case 1:
            del frames[place:][: draw(st.integers(0, 3))]
        case 2:
            frames[place:] = frames[:place:-1]
        case 3:
            frames[place : place + 1] = [f._replace(flags=draw(st.integers(0, 255))) for f in there]
        case 4:
            frames[place : place + 1] = [f._replace(kind=draw(st.integers(0, 11))) for f in there]
        case 5:
            frames[place : place + 1] = [
                f._replace(stream_id=draw(st.integers(0, 60))) for f in there
            ]
        case _:
            frames[place : place + 1] = [
                f._replace(payload=_with_faulty_bytes(draw, bytearray(f.payload))) for f in there
            ]


def _with_faulty_bytes(draw: st.DrawFn, octets: bytearray) -> bytes:
    for _ in range(draw(st.integers(0, _MOST_FAULTS))):
        start = draw(st.integers(0, len(octets)))
        end = min(len(octets), start + draw(st.integers(0, 20)))
        match draw(st.integers(0, 3)):
            case 0:
                octets[start:end] = draw(st.binary(min_size=end - start, max_size=end - start))
            case 1:
                octets[end:end] = octets[start:end] * draw(st.integers(1, 20))
            case 2:
                octets[start:start] = draw(_noise)
            case _:
                del octets[start:end]
    return bytes(octets)


@st.composite
def in_pieces(draw: st.DrawFn, octets: st.SearchStrategy[bytes]) -> list[bytes]:
    """Octets, cut anywhere."""
    whole = draw(octets)
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=20)))
    return [whole[start:end] for start, end in pairwise([0, *cuts, len(whole)])]
