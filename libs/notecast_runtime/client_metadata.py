"""For whom a gateway calls another service, said in the call's metadata.

That service sees connections of gateways alone, each of which carries many clients. It believes
what they say, so nobody else may reach it: whoever does can say that he is anybody.
"""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, unquote

from notecast_runtime.standard_streams import ClientOf, Context
from notecast_wire.fairness.clients import ClientId

CLIENT: Final = "x-notecast-client"
"""The address and the connection, as `192.0.2.1;10.0.0.7/42`; other characters as in URLs."""

MAX_BYTES: Final = 512
"""Of the value. The longest that a gateway makes of what a proxy tells it has less than 500."""

_SEPARATOR: Final = ";"
_PLAIN: Final = "/:"


def client_metadata(client: ClientId) -> tuple[tuple[str, str]]:
    """The metadata of a call that is made for this client."""
    address, connection = (quote(part, _PLAIN) for part in client)
    return ((CLIENT, f"{address}{_SEPARATOR}{connection}"),)


def client_behind(peer_of: ClientOf) -> ClientOf:
    """What says for whom a gateway calls.

    Where the metadata don't say it, or not in a way that `client_metadata` has, that is the
    gateway itself, on whichever of its connections: it may speak for many.

    Args:
        peer_of: says which gateway's connection a call comes from.
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
