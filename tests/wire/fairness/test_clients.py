"""A client is an address, and behind trusted proxies nobody's word about it counts but theirs."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notecast_wire.fairness.clients import CONNECTION, FORWARDED_FOR, ClientId, Peer, TrustedProxies

PROXY = "10.1.2.3"
TRUSTED = TrustedProxies.parse("10.0.0.0/8, 2001:db8:aaaa::/48, unix")

OCTETS = st.binary(max_size=40).map(lambda octets: octets.replace(b",", b"."))
NAMES = st.sampled_from([FORWARDED_FOR, CONNECTION, b"x-other", b"forwarded", b"x-real-ip"])
OWN_WORDS = st.lists(st.tuples(NAMES, st.binary(max_size=60)), max_size=8)
"""Whatever a client may send before the proxy adds its headers."""


def client_behind(peer: Peer, *headers: tuple[bytes, bytes]) -> ClientId:
    return peer.client_of([(b":method", b"POST"), *headers])


def proxied(hops: int = 1) -> Peer:
    return TrustedProxies.parse(PROXY, hops).peer(PROXY, "4711")


@given(address=st.ip_addresses(v=4).map(str), connection=st.text(max_size=5))
def test_an_ipv4_address_is_a_client_by_itself(address: str, connection: str) -> None:
    assert TrustedProxies().peer(address, connection).own == ClientId(address, connection)


@given(address=st.ip_addresses(v=6), other=st.integers(0, 2**64 - 1))
def test_all_addresses_of_an_ipv6_network_of_64_bits_are_one_client(
    address: IPv6Address, other: int
) -> None:
    neighbour = IPv6Address(int(address) >> 64 << 64 | other)
    if address.ipv4_mapped or neighbour.ipv4_mapped:
        return
    own = TrustedProxies().peer(str(address), "1").own
    assert own == TrustedProxies().peer(str(neighbour), "1").own
    assert address in IPv6Network(own.address)


@given(address=st.ip_addresses(v=4))
def test_an_ipv4_address_is_the_same_client_however_it_is_written(address: IPv4Address) -> None:
    assert TrustedProxies().peer(f"::ffff:{address}", "1").own.address == str(address)
    peer = proxied()
    for text in (str(address), f"{address}:80", f"::ffff:{address}", f" {address} "):
        assert client_behind(peer, (FORWARDED_FOR, text.encode())).address == str(address)


@pytest.mark.parametrize(
    "text", ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443", "2001:db8::ffff%eth0"]
)
def test_an_ipv6_address_behind_a_proxy_may_be_written_in_each_usual_way(text: str) -> None:
    assert client_behind(proxied(), (FORWARDED_FOR, text.encode())).address == "2001:db8::/64"


@given(own_words=OWN_WORDS, address=st.ip_addresses(v=4), left=OCTETS)
def test_nothing_that_a_client_says_itself_changes_who_it_is(
    own_words: list[tuple[bytes, bytes]], address: IPv4Address, left: bytes
) -> None:
    entry = str(address).encode()
    peer = proxied()
    expected = ClientId(str(address), f"{PROXY}/77")
    # The proxy adds to the client's own header, or writes one of its own after it, and overwrites
    # the connection.
    said = [pair for pair in own_words if pair[0] != CONNECTION]
    for last in (entry, left + b"," + entry, left + b"," + left + b", " + entry):
        for headers in (
            [*said, (FORWARDED_FOR, last), (CONNECTION, b"77")],
            [*said, (CONNECTION, b"77"), (FORWARDED_FOR, last)],
        ):
            assert client_behind(peer, *headers) == expected


@given(own_words=OWN_WORDS)
def test_headers_of_a_peer_that_is_not_trusted_are_not_looked_at(
    own_words: list[tuple[bytes, bytes]],
) -> None:
    for peer in (TRUSTED.peer("192.0.2.1", "5"), TrustedProxies().peer(PROXY, "5")):
        assert not peer.proxied
        assert client_behind(peer, *own_words) == peer.own
        assert client_behind(peer, (FORWARDED_FOR, b"198.51.100.1"), (CONNECTION, b"9")) == peer.own


@given(
    entries=st.lists(st.ip_addresses(v=4).map(str), min_size=1, max_size=6),
    hops=st.integers(1, 4),
    cuts=st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_the_entry_that_counts_is_so_many_from_the_right_over_all_lines(
    entries: list[str], hops: int, cuts: list[bool]
) -> None:
    lines = [entries[0]]
    for entry, cut in zip(entries[1:], cuts, strict=False):
        if cut:
            lines.append(entry)
        else:
            lines[-1] += f", {entry}"
    peer = proxied(hops)
    headers = [(FORWARDED_FOR, line.encode()) for line in lines]
    expected = entries[-hops] if hops <= len(entries) else PROXY
    assert client_behind(peer, *headers).address == expected


@pytest.mark.parametrize("entry", [b"", b"unknown", b"1.2.3", b"-", b"\xff" * 20, b"1" * 5000])
def test_a_request_of_which_the_proxy_names_nobody_is_the_proxys_own(entry: bytes) -> None:
    peer = proxied()
    assert client_behind(peer) == peer.own == ClientId(PROXY, "4711")
    assert client_behind(peer, (FORWARDED_FOR, entry)) == peer.own
    assert client_behind(peer, (FORWARDED_FOR, b"192.0.2.1, " + entry)) == peer.own


def test_a_client_whose_connection_the_proxy_does_not_tell_has_one() -> None:
    peer = proxied()
    forwarded = (FORWARDED_FOR, b"192.0.2.1")
    assert client_behind(peer, forwarded) == ClientId("192.0.2.1", "")
    assert client_behind(peer, forwarded, (CONNECTION, b"9" * 65)) == ClientId("192.0.2.1", "")
    assert client_behind(peer, forwarded, (CONNECTION, b"3")) != ClientId("192.0.2.1", "")


def test_connections_with_two_proxies_are_two_although_both_have_one_number() -> None:
    headers = [(FORWARDED_FOR, b"192.0.2.1"), (CONNECTION, b"1")]
    one, other = (TRUSTED.peer(host, "1").client_of(headers) for host in ("10.0.0.1", "10.0.0.2"))
    assert one.address == other.address
    assert one.connection != other.connection


def test_what_is_remembered_of_a_proxys_clients_is_bounded() -> None:
    peer = proxied()
    for number in range(10_000):
        client_behind(peer, (FORWARDED_FOR, b"192.0.2.1"), (CONNECTION, b"%d" % number))
    client_behind(peer, (FORWARDED_FOR, b"x" * 10_000), (CONNECTION, b"1"))
    assert len(peer._known) <= 4_096
    assert max(len(entry) for entry, _ in peer._known) <= 64


@pytest.mark.parametrize("host", ["10.200.0.1", "::ffff:10.0.0.1", "2001:db8:aaaa:1::1", None])
def test_a_peer_in_a_trusted_network_is_a_proxy(host: str | None) -> None:
    assert TRUSTED.peer(host, "1").proxied


@pytest.mark.parametrize("host", ["11.0.0.1", "2001:db8:aaab::1", "::1", "fe80::1%eth0"])
def test_any_other_peer_is_a_client(host: str) -> None:
    assert not TRUSTED.peer(host, "1").proxied
    assert not TrustedProxies().peer(None, "1").proxied


@pytest.mark.parametrize("text", ["nobody", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.1,", "Unix", ","])
def test_what_names_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        TrustedProxies.parse(text)


def test_less_than_one_hop_is_refused() -> None:
    with pytest.raises(ValueError, match="less than 1"):
        TrustedProxies.parse("unix", 0)


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("ipv4:192.0.2.9:5", ClientId("192.0.2.9", "5")),
        ("ipv6:%5B2001:db8::1%5D:5", ClientId("2001:db8::/64", "5")),
        ("ipv6:[2001:db8::1]:5", ClientId("2001:db8::/64", "5")),
        ("ipv4:10.0.0.1:5", ClientId("198.51.100.7", "10.0.0.1/12")),
        ("unix:", ClientId("198.51.100.7", "unix/12")),
        ("unix:/run/chat.sock", ClientId("198.51.100.7", "unix/12")),
    ],
)
def test_a_call_of_grpc_aio_has_the_same_client(peer: str, expected: ClientId) -> None:
    metadata: list[tuple[str, str | bytes]] = [
        ("x-notecast-connection", "12"),
        ("x-forwarded-for", "192.0.2.1, 198.51.100.7"),
        ("some-bin", b"\xff"),
    ]
    assert TRUSTED.client_of_call(peer, metadata) == expected
