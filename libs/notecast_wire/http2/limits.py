"""How much a connection takes from its peer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of what a peer may do on its connection.

    The budgets of frames that cost us more than the peer are a burst and what comes back of it:
    a peer that stays within the burst is never judged, one that is over it has what time and
    useful work have earned it since. `abuse_limits` charges them.

    Attributes:
        max_concurrent_streams: further ones are refused.
        stream_window_bytes: what a stream may send before its owner has consumed any.
        connection_window_bytes: what all streams together may have under way. Not below 65,535,
            which is what every peer may send before it knows better (RFC 9113, 6.9.2).
        max_header_list_bytes: of a request's headers, 32 added for each (RFC 9113, 6.5.2).
        max_header_block_factor: a block of more bytes than this many header lists, as it comes,
            ends the connection: it can't be an honest request.
        max_continuations: CONTINUATION frames of one block. A block of the largest size has four.
        proxy_factor: how much longer a header block may be, and how much more may wait that is not
            DATA, on the connection of a trusted proxy: there it is the doing of many clients.
        reset_burst: streams that end without an answer by the peer's doing: rapid resets
            (CVE-2023-44487), streams reset for bad frames (CVE-2025-8671), refused and malformed
            requests. Twice what it may have open, so that giving up all of them is always fine.
        resets_per_second: a client that gives up this many calls a second costs us no more than
            one that makes as many.
        ping_burst: a client that measures its link sends one for each answer of ours at most.
        pings_per_second: what an idle client may send; keepalive is one in 10 s or less often.
        pong_spacing_seconds: a PING that comes sooner after the last answer than this waits for
            its own. gRPC clients send one for whatever they get, to measure their link
            (grpc-go's and gRPC C++'s "BDP" estimate), and at once the next: answered at once they
            would be as many as all writes of a fan-out. One that comes alone is answered at once.
        pong_spacing_bytes: nor does it wait for longer than this much DATA takes to be sent. To the
            client the wait is a part of the link's delay, for which it opens its windows: it would
            take in megabytes that nobody reads before we could see that.
        pong_delay_seconds: by so much more an answer that had to wait may be late, to go with what
            is written next. By itself it would cost a write, and wake the peer for nothing else.
        settings_burst: each may walk over all streams, and no client changes its mind often.
        settings_per_second: as `settings_burst`.
        noop_frame_burst: frames that move nothing: WINDOW_UPDATE, PRIORITY, empty DATA, frames
            for ended streams, unknown types.
        noop_frames_per_second: as `noop_frame_burst`; what is sent and received earns more.
        max_unread_replies: answers to the peer's frames that wait while it reads nothing.
        closed_streams_remembered: streams that we have reset and that the peer may still send on.
    """

    max_concurrent_streams: int = 1_000
    stream_window_bytes: int = 65_535
    connection_window_bytes: int = 1_048_576
    max_header_list_bytes: int = 16_384
    max_header_block_factor: int = 4
    max_continuations: int = 32
    proxy_factor: int = 16
    reset_burst: int = 2_000
    resets_per_second: float = 1_000.0
    ping_burst: int = 1_000
    pings_per_second: float = 50.0
    pong_spacing_seconds: float = 0.25
    pong_spacing_bytes: int = 262_144
    pong_delay_seconds: float = 0.05
    settings_burst: int = 100
    settings_per_second: float = 1.0
    noop_frame_burst: int = 10_000
    noop_frames_per_second: float = 1_000.0
    max_unread_replies: int = 1_000
    closed_streams_remembered: int = 1_000

    @property
    def undivided_streams(self) -> int:
        """So many streams on a proxy's connection are anybody's: beyond, a client has a share.

        A proxy that opens another connection by then has no client refused. One that goes on
        until a connection is full would have clients refused there for good, however many
        connections there could be.
        """
        return self.max_concurrent_streams // 2
