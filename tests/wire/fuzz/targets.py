"""All that one input is fed to."""

from tests.wire.fuzz import connection_target, protocol_target
from tests.wire.fuzz.inputs import pieces_of


def feed_all(file: bytes) -> None:
    """Feeds each target with a file of `inputs`.

    Raises:
        Exception: a fault was found.
    """
    pieces = pieces_of(file)
    connection_target.feed(pieces)
    protocol_target.feed(pieces)
