"""Tells another service in a call's metadata for which client a gateway calls.

That service only sees connections of gateways, each of which carries many clients. It believes
what they say, so no other program may reach it: a program that does can pose as any client.
"""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, unquote

from notecast_runtime.standard_streams import ClientOf, Context
from notecast_wire.fairness.clients import ClientId

CLIENT: Final = "x-notecast-client"
"""The address and the connection, as `192.0.2.1;10.0.0.7/42`; other characters as in URLs."""

MAX_BYTES: Final = 512
"""Bound on the value. The longest one that a gateway makes has less than 500 bytes."""

_SEPARATOR: Final = ";"
_PLAIN: Final = "/:"


def client_metadata(client: ClientId) -> tuple[tuple[str, str]]:
    """Makes the metadata of a call for this client."""
    address, connection = (quote(part, _PLAIN) for part in client)
    return ((CLIENT, f"{address}{_SEPARATOR}{connection}"),)


def client_behind(peer_of: ClientOf) -> ClientOf:
    """Makes a function that returns the client for which a gateway calls.

    If the metadata don't name it, or not as `client_metadata` does, that is the gateway itself,
    on any of its connections: it may speak for many clients.

    Args:
        peer_of: returns the gateway's connection that a call comes from.
    """

    def client_of(context: Context) -> ClientId:
        return _said(context.invocation_metadata() or ()) or ClientId(peer_of(context).address, "")

    return client_of


def _said(metadata: Iterable[tuple[str, Any]]) -> ClientId | None:
    values = [value for name, value in metadata if name == CLIENT]
    if len(values) != 1 or len(values[0]) > MAX_BYTES:
        return None
    address, separator, connection = str(values[0]).partition(_SEPARATOR)
    if not (address and separator) or _SEPARATOR in connection:
        return None
    return ClientId(unquote(address), unquote(connection))
